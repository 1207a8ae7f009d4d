/** Who waits on this node for an invocation to finish: woken by news, or by a look at the rows now and then. */
import type { Logger } from '../platform/logger.ts';
import type { SecondMeNews } from './second-me.news.ts';

interface WaitsDeps {
  news: SecondMeNews;
  log: Logger;
  /** Which of these invocations have finished. */
  findFinished(ids: string[]): Promise<string[]>;
  /** How often the rows are looked at, milliseconds: news may be lost. */
  pollMs: number;
}

export function createWaits({ news, log, findFinished, pollMs }: WaitsDeps) {
  const waiting = new Map<string, Set<() => void>>();
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  const wake = (id: string) => {
    for (const end of waiting.get(id) ?? []) end();
  };
  const poll = () => {
    findFinished([...waiting.keys()]).then(
      (finished) => finished.forEach(wake),
      (error: unknown) => log.debug({ err: error }, 'unfinished invocations cannot be read'),
    );
  };
  news.on('secondme.finished', wake);

  return {
    /** Resolves when there may be something new about `id`, at the latest after `ms`; `end` ends it early. */
    begin(id: string, ms: number): { over: Promise<void>; end: () => void } {
      const others = waiting.get(id) ?? new Set();
      let end = () => {};
      const over = new Promise<void>((resolve) => {
        end = () => {
          clearTimeout(deadline);
          others.delete(end);
          if (others.size === 0 && waiting.get(id) === others) waiting.delete(id);
          if (waiting.size === 0) timer = void clearInterval(timer);
          resolve();
        };
      });
      const deadline = setTimeout(end, ms);
      waiting.set(id, others.add(end));
      timer ??= setInterval(poll, pollMs);
      if (stopped) end();
      return { over, end };
    },

    /** Ends every wait, and those to come. */
    stop(): void {
      stopped = true;
      for (const id of [...waiting.keys()]) wake(id);
    },
  };
}
