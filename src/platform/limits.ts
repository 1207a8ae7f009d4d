/** How much one user may do: token buckets in this node's memory. */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from './errors.ts';

/** A steady rate a second; four seconds' worth may come at once. */
const RATES = {
  message: 5,
  new_room: 2,
  read: 20,
  signal: 20,
  invoke: 5,
} as const;
const BURST_S = 4;

export type LimitClass = keyof typeof RATES;
export type Limits = ReturnType<typeof createLimits>;

/**
 * The limits of a node. A window of `BURST_S` seconds holds a burst on top of the steady rate, so that a user at the
 * steady rate is never refused, wherever the window begins.
 */
export function createLimits(on: boolean) {
  const limiters = new Map<LimitClass, RateLimiterMemory>();
  for (const [name, rate] of Object.entries(RATES)) {
    const points = rate * BURST_S * 2;
    limiters.set(name as LimitClass, new RateLimiterMemory({ keyPrefix: name, points, duration: BURST_S }));
  }
  return {
    /**
     * Takes one from the user's allowance.
     * @throws AppError rate_limited with the wait in milliseconds
     */
    async take(limit: LimitClass, userId: string): Promise<void> {
      if (!on) return;
      try {
        await limiters.get(limit)!.consume(userId);
      } catch (refusal) {
        if (!(refusal instanceof RateLimiterRes)) throw refusal;
        throw new AppError('rate_limited', 'Too many requests; slow down.', {
          retryAfterMs: Math.max(1, refusal.msBeforeNext),
        });
      }
    },
  };
}
