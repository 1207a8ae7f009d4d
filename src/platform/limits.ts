/**
 * How much one user, and one address, may do: windows counted in Redis for the whole city, on the node alone while
 * Redis is away.
 */
import { RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { AppError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import type { RedisLinks } from './redis.ts';

/**
 * What happens past a node's own quarter while Redis is away: the node counts alone (a chat must go on), nothing more
 * is allowed (work that costs money waits), or every call is refused (nothing is given out uncounted).
 */
type WithoutRedis = 'alone' | 'quarter' | 'refuse';

/** The classes; the last four are counted by address, the others by user. */
const CLASSES = {
  send: 'alone',
  new_room: 'alone',
  join: 'alone',
  read: 'alone',
  typing: 'alone',
  presence: 'alone',
  invoke: 'quarter',
  connect: 'alone',
  connect_address: 'alone',
  request_address: 'alone',
  event_address: 'alone',
  token_address: 'refuse',
} as const satisfies Record<string, WithoutRedis>;

export type LimitClass = keyof typeof CLASSES;
/** Steady rates, a second. */
export type Rates = Readonly<Record<LimitClass, number>>;
export type Limits = ReturnType<typeof createLimits>;

/** RATE_LIMITS=off. */
export const UNLIMITED: Limits = { take: async () => {} };

/** A burst is this many seconds' worth of the steady rate. */
const BURST_S = 4;
/** How long a call may wait for Redis, and how long nobody asks a Redis that did not answer. */
const PATIENCE_MS = 250;
const REST_MS = 3_000;

interface LimitsDeps {
  rates: Rates;
  redis: Pick<RedisLinks, 'commands'>;
  log: Logger;
  metrics: Metrics;
}

/** The refusal of `consumed`; undefined where it was allowed. */
async function refusalOf(consumed: Promise<RateLimiterRes>): Promise<RateLimiterRes | undefined> {
  try {
    await consumed;
    return undefined;
  } catch (refusal) {
    if (refusal instanceof RateLimiterRes) return refusal;
    throw refusal;
  }
}

/** `promise`, or a rejection after `ms`. */
function soon<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('Command timed out')), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(late));
  });
}

/**
 * The limits of a node. A window of `BURST_S` seconds holds a burst on top of the steady rate, so that somebody at
 * the steady rate is never refused, wherever the window begins. The first quarter of it each node gives out by itself,
 * so that a lively human never costs a round trip; the rest is counted in Redis. So a city of n nodes allows at most
 * 1 + (n − 1)/4 windows, a city without Redis n: a user of one node has the whole allowance either way.
 */
export function createLimits({ rates, redis, log, metrics }: LimitsDeps) {
  const limiters = new Map(
    Object.entries(CLASSES).map(([name, withoutRedis]: [string, WithoutRedis]) => {
      const whole = rates[name as LimitClass] * BURST_S * 2;
      const own = withoutRedis === 'refuse' ? 0 : Math.floor(whole / 4);
      const points = whole - own;
      const window = { points, duration: BURST_S };
      return [
        name as LimitClass,
        {
          withoutRedis,
          own: new RateLimiterMemory({ points: own, duration: BURST_S }),
          city: new RateLimiterRedis({
            ...window,
            storeClient: redis.commands,
            keyPrefix: `limit:${name}`,
            inMemoryBlockOnConsumed: points, // a flood is not passed on to Redis
          }),
          alone: new RateLimiterMemory(window),
        },
      ];
    }),
  );

  let failed = false;
  let askAgainAt = 0;
  /** Whether Redis is to be asked; after a failure one call tries, and the others go on without. */
  const askable = () => {
    if (redis.commands.status !== 'ready') return false;
    if (!failed) return true;
    if (performance.now() < askAgainAt) return false;
    askAgainAt = performance.now() + REST_MS;
    return true;
  };

  const inCity = async (city: RateLimiterRedis, key: string) => {
    if (!askable()) return 'away';
    try {
      const refusal = await refusalOf(soon(city.consume(key), PATIENCE_MS));
      failed = false;
      return refusal;
    } catch (error) {
      if (!failed) log.warn({ err: error }, 'limits are counted by this node alone');
      failed = true;
      askAgainAt = performance.now() + REST_MS;
      return 'away';
    }
  };

  const ask = async (limit: LimitClass, key: string) => {
    const { withoutRedis, own, city, alone } = limiters.get(limit)!;
    const spent = await refusalOf(own.consume(key));
    if (!spent) return undefined;
    const refusal = await inCity(city, key);
    if (refusal !== 'away') return refusal;
    metrics.limitsAlone.inc({ limit });
    if (withoutRedis === 'alone') return refusalOf(alone.consume(key));
    if (withoutRedis === 'quarter') return spent;
    throw new AppError('unavailable', 'This cannot be counted right now; try again shortly.');
  };

  return {
    /**
     * Takes one from the allowance of `key`: a user, or an address.
     * @throws AppError rate_limited with the wait in milliseconds; unavailable for what must not go uncounted
     */
    async take(limit: LimitClass, key: string): Promise<void> {
      const refusal = await ask(limit, key);
      if (!refusal) return;
      metrics.refusals.inc({ limit });
      throw new AppError('rate_limited', 'Too many requests; slow down.', {
        retryAfterMs: Math.max(1, refusal.msBeforeNext),
      });
    },
  };
}
