/** Work that callers share: those who ask while it is under way are served together by the next run. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createKeyedQueue } from './keyed-queue.ts';

/** Lets at most `places` tasks run at a time; the others wait in the order in which they came. */
export function createSemaphore(places: number) {
  let free = places;
  const line: (() => void)[] = [];
  return async <T>(task: () => Promise<T>): Promise<T> => {
    if (free > 0) free -= 1;
    else await new Promise<void>((enter) => line.push(enter));
    try {
      return await task();
    } finally {
      const next = line.shift();
      if (next) next();
      else free += 1;
    }
  };
}

export type Semaphore = ReturnType<typeof createSemaphore>;

/** In place of a semaphore: a run gives those who come within `ms` milliseconds of its first caller time to join it. */
export const gatherFor =
  (ms: number): Semaphore =>
  (task) =>
    sleep(ms).then(task);

/**
 * Runs `run` for the items of one key together, one run a key at a time and as `semaphore` allows; `run` answers the
 * results in the order of the items.
 *
 * A caller is served by a run that begins after it has called, never by one that is under way: it sees everything
 * that had happened when it called, as if it had run alone. So the first caller waits for nobody, unless the
 * semaphore makes it, and under load the cost follows the number of keys and not that of the callers.
 * @throws what `run` throws, to every caller that it was for
 */
export function createBatcher<Item, Result>(
  run: (items: Item[]) => Promise<readonly Result[]>,
  semaphore: Semaphore = (task) => task(),
) {
  const inTurn = createKeyedQueue();
  /** The batches that still take items: at most one a key, and none that has begun. */
  const open = new Map<string, { items: Item[]; results: Promise<readonly Result[]> }>();
  return async (key: string, item: Item): Promise<Result> => {
    let batch = open.get(key);
    if (!batch) {
      const items: Item[] = [];
      const begin = () => {
        open.delete(key);
        return run(items);
      };
      batch = { items, results: inTurn(key, () => semaphore(begin)) };
      open.set(key, batch);
    }
    const place = batch.items.push(item) - 1;
    return (await batch.results)[place]!;
  };
}
