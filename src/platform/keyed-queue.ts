/** Runs tasks one after the other for each key, side by side for different keys. */

export function createKeyedQueue() {
  const tails = new Map<string, Promise<unknown>>();
  /** Runs `task` once every earlier task of `key` has ended, however they ended; settles as it does. */
  return async <T>(key: string, task: () => Promise<T>): Promise<T> => {
    const result = (tails.get(key) ?? Promise.resolve()).then(task, task);
    const tail = result.then(
      () => {},
      () => {},
    );
    tails.set(key, tail);
    try {
      return await result;
    } finally {
      if (tails.get(key) === tail) tails.delete(key);
    }
  };
}
