/** A task repeated for as long as a node runs, one run at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../platform/logger.ts';

/**
 * Runs `task` every `everyMs` milliseconds until the returned function is called, which resolves once the last run is
 * over. Of a row of failures only the first is logged, as `complaint`.
 */
export function startLoop(everyMs: number, task: () => Promise<void>, log: Logger, complaint: string) {
  const stop = new AbortController();
  const run = async () => {
    let failing = false;
    while (!stop.signal.aborted) {
      await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => {});
      if (stop.signal.aborted) return;
      try {
        await task();
        failing = false;
      } catch (error) {
        if (!failing) log.warn({ err: error }, complaint);
        failing = true;
      }
    }
  };
  const running = run();
  return async (): Promise<void> => {
    stop.abort();
    await running;
  };
}
