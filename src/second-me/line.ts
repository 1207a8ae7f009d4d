/** The line of one user's prompts on a node: a flood of them waits for itself and holds nobody else up. */
import { AppError } from '../platform/errors.ts';
import { createKeyedQueue } from '../platform/keyed-queue.ts';

/**
 * The line: runs `task` once every earlier one of the user has ended, so that however many come at once, they take one
 * connection of the pool. Without it they would take all of them, each waiting for the user's lock.
 * @throws AppError rate_limited when `max` are in line already
 */
export function createLine(max: number) {
  const inTurn = createKeyedQueue();
  const lengths = new Map<string, number>();
  return async <T>(userId: string, task: () => Promise<T>): Promise<T> => {
    const length = lengths.get(userId) ?? 0;
    if (length >= max) {
      throw new AppError('rate_limited', 'Too many prompts at once; slow down.', { retryAfterMs: 2_000 });
    }
    lengths.set(userId, length + 1);
    try {
      return await inTurn(userId, task);
    } finally {
      const left = lengths.get(userId)! - 1;
      if (left > 0) lengths.set(userId, left);
      else lengths.delete(userId);
    }
  };
}
