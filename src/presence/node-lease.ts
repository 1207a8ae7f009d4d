/** This node's lease in Redis: while it is renewed, what the node holds counts; when it lapses, others reap it. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../platform/logger.ts';
import { COMMAND_TIMEOUT_MS } from '../platform/redis.ts';
import type { RedisLinks } from '../platform/redis.ts';
import { startLoop } from '../platform/loop.ts';
import { presenceScripts } from './scripts.ts';

/** Milliseconds. */
const TIMINGS = { leaseMs: 6_000, renewMs: 2_000, retireMs: 1_500 };
/** A node that was frozen first reads which of its connections were closed meanwhile; milliseconds. */
const AWAKENING_MS = 100;

interface NodeLeaseDeps {
  redis: RedisLinks;
  log: Logger;
  /** Names the node in keys and logs; the host's name by default. Need not be unique. */
  nodeId?: string;
  timings?: Partial<typeof TIMINGS>;
}

/**
 * Called after every renewal; `lost` when what this node holds may not be known to Redis as it is, `known` unless Redis
 * was emptied since the renewal before.
 */
export type RenewalListener = (lost: boolean, known: boolean) => Promise<void>;

export type NodeLease = ReturnType<typeof createNodeLease>;

/** A lease of a new run of this node. It is fenced by a boot id: a restarted node never inherits the old one's. */
export function createNodeLease({ redis, log, nodeId = hostname(), timings = {} }: NodeLeaseDeps) {
  const { leaseMs, renewMs, retireMs } = { ...TIMINGS, ...timings };
  const run = `${nodeId.replace(/[^\w.-]/g, '-')}.${randomBytes(6).toString('hex')}`;
  const scripts = presenceScripts(redis.commands);
  const listeners: RenewalListener[] = [];
  let renewing: Promise<void> | undefined;
  let endLoop: (() => Promise<void>) | undefined;
  /**
   * The last renewal was answered, by the Redis that we are connected to now. A renewal without an answer may have
   * taken a lease that had lapsed, and a Redis that came back may have an older state: the next finds it held.
   */
  let certain = false;
  /** Monotonic, milliseconds. */
  let renewedAt = -Infinity;
  /**
   * The time of Redis less our monotonic one, milliseconds, and at most a request's way more. So large before the first
   * renewal that no call is late.
   */
  let redisAhead = 1e15;

  const renewOnce = async () => {
    const wasCertain = certain;
    certain = false;
    const askedAt = performance.now();
    const [wasHeld, redisTime, wasKnown] = await scripts.cityRenew(run, leaseMs);
    const held = wasHeld === 1;
    certain = true;
    redisAhead = redisTime - askedAt;
    renewedAt = performance.now();
    if (!held) log.info({ run }, 'the node takes its lease');
    const lost = !held || !wasCertain;
    if (lost) await sleep(AWAKENING_MS);
    await Promise.all(listeners.map((listener) => listener(lost, wasKnown === 1)));
  };

  /**
   * Renews the lease now; resolves when the listeners are through.
   * @throws the Redis error (isTemporary), or a listener's
   */
  const renew = (): Promise<void> => {
    renewing ??= renewOnce().finally(() => {
      renewing = undefined;
    });
    return renewing;
  };

  const complaint = "the node's lease is not renewed";
  redis.onReady(() => {
    certain = false;
    if (endLoop) renew().catch((error: unknown) => log.warn({ err: error }, complaint));
  });

  return {
    /** What this start of the node is called in Redis: node id and boot id. */
    run,
    renew,
    /** Whether the lease cannot have lapsed since it was renewed, for all that this node's clock says. */
    isFresh: () => performance.now() - renewedAt < leaseMs,
    /** Until when a call that is made now may take effect, by the clock of Redis: as long as its answer is waited for. */
    due: () => Math.ceil(performance.now() + redisAhead + COMMAND_TIMEOUT_MS),
    onRenewal: (listener: RenewalListener): void => void listeners.push(listener),

    /** Takes the lease, if Redis answers, and keeps renewing it. */
    async start(): Promise<void> {
      endLoop = startLoop(renewMs, renew, log, complaint);
      await renew().catch((error: unknown) => log.warn({ err: error }, complaint));
    },

    /**
     * Shortens the lease instead of ending it: clients that reconnect elsewhere stay online throughout, and the other
     * nodes reap the rest.
     */
    async stop(): Promise<void> {
      await endLoop?.();
      endLoop = undefined;
      await renewing?.catch(() => {});
      await scripts.cityRetire(run, retireMs).catch(() => {}); // without Redis it lapses by itself
    },
  };
}
