/** Transitions between nodes: what this node made goes to its own view and to all the others'. */
import { onNews } from '../platform/io.ts';
import type { PresenceNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import type { News } from './presence.store.ts';
import type { View } from './presence.view.ts';

const NEWS = 'presence-log';
/** Milliseconds; what happens within goes out as one announcement. */
const GATHER_MS = 20;
const NEWS_MAX = 200;

interface NewsDeps {
  namespace: PresenceNamespace;
  view: View;
  log: Logger;
}

export function createNews({ namespace, view, log }: NewsDeps) {
  let gathered: News = { epoch: '', transitions: [] };
  let timer: NodeJS.Timeout | undefined;

  const send = () => {
    clearTimeout(timer);
    timer = undefined;
    const { epoch, transitions } = gathered;
    gathered = { epoch, transitions: [] };
    for (let from = 0; from < transitions.length; from += NEWS_MAX) {
      const news: News = { epoch, transitions: transitions.slice(from, from + NEWS_MAX) };
      namespace.serverSideEmit(NEWS, news as never);
    }
  };

  let stopped = false;

  return {
    /** Passes on what this node made. */
    announce(news: News): void {
      if (news.transitions.length === 0) return;
      if (gathered.epoch !== news.epoch) {
        send();
        gathered.epoch = news.epoch;
      }
      gathered.transitions.push(...news.transitions);
      timer ??= setTimeout(send, GATHER_MS);
      view.accept(news);
    },

    start: (): void =>
      onNews<News>(namespace, NEWS, log, (news) => {
        if (!stopped) view.accept(news);
      }),

    stop(): void {
      send();
      stopped = true;
    },
  };
}
