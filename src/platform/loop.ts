/** A task repeated for as long as a node runs, one run at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from './logger.ts';

/** Milliseconds. Loops end their rests at multiples of this, so that a process is woken once for all of them. */
const TICK_MS = 250;

/** How long to sleep for about `ms` and end with a tick; what is shorter than two ticks is left as it is. */
function untilTick(ms: number): number {
  if (ms < 2 * TICK_MS) return ms;
  const now = performance.now();
  return Math.round((now + ms) / TICK_MS) * TICK_MS - now;
}

/**
 * Runs `task` about every `everyMs` milliseconds until the returned function is called, which resolves once the last
 * run is over. A run that resolves with a longer time is followed by the next after that. Of a row of failures only the
 * first is logged, as `complaint`.
 */
export function startLoop(
  everyMs: number,
  task: () => Promise<void | number>,
  log: Logger,
  complaint: string,
) {
  const stop = new AbortController();
  const run = async () => {
    let failing = false;
    let restMs = everyMs;
    while (!stop.signal.aborted) {
      await sleep(untilTick(restMs), undefined, { signal: stop.signal }).catch(() => {});
      if (stop.signal.aborted) return;
      restMs = everyMs;
      try {
        restMs = Math.max(everyMs, (await task()) ?? 0);
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
