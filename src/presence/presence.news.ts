/** Transitions between nodes: what this node made goes to its own view and to all the others'. */
import type { PresenceStatus } from '../contract/presence.ts';
import { onNews } from '../platform/io.ts';
import type { PresenceNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import type { News, Transition } from './presence.store.ts';
import type { View } from './presence.view.ts';

const NEWS = 'presence-log';
/** Milliseconds; what happens within goes out as one announcement. */
const GATHER_MS = 20;
const NEWS_MAX = 200;

/** Told of a transition that this node made, with the rooms that the user has open on any node. */
export type TransitionListener = (
  transition: { user_id: string; status: PresenceStatus; last_seen: string | null },
  openRooms: string[],
) => void;

interface NewsDeps {
  namespace: PresenceNamespace;
  view: View;
  log: Logger;
}

export function createNews({ namespace, view, log }: NewsDeps) {
  const listeners: TransitionListener[] = [];
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

  const callListeners = ({ presence, rooms }: Transition) => {
    for (const listener of listeners) {
      try {
        listener({ ...presence }, rooms);
      } catch (error) {
        log.error({ err: error, user_id: presence.user_id }, 'a transition was not passed on');
      }
    }
  };

  return {
    onTransition: (listener: TransitionListener): void => void listeners.push(listener),

    /** Passes on what this node made; while an emptied Redis is refilled, the listeners hear of what is new only. */
    announce(news: News): void {
      if (news.transitions.length === 0) return;
      const refilling = view.isRefilling(news.epoch);
      if (gathered.epoch !== news.epoch) {
        send();
        gathered.epoch = news.epoch;
      }
      gathered.transitions.push(...news.transitions);
      timer ??= setTimeout(send, GATHER_MS);
      for (const transition of news.transitions) {
        const { user_id, status } = transition.presence;
        if (!refilling || view.statusOf(user_id) !== status) callListeners(transition);
      }
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
