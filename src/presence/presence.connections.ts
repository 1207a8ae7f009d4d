/** The /presence connections of this node: each has a lease in Redis, and is kept here to be registered again. */
import { createBatcher, gatherFor } from '../platform/batcher.ts';
import { isTemporary } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { NodeLease } from './node-lease.ts';
import { createPace } from './pace.ts';
import * as store from './presence.store.ts';
import type { News } from './presence.store.ts';
import type { ScriptCalls } from './scripts.ts';

/** Connections that are counted share a call with those that come so soon after them. */
const GATHER_MS = 20;

interface Held {
  userId: string;
  status: 'online' | 'away';
  /** When the client was heard last, by this process's monotonic clock, milliseconds. */
  heardAt: number;
}

interface ConnectionsDeps {
  scripts: ScriptCalls;
  lease: NodeLease;
  log: Logger;
  announce(news: News): void;
  timings: { ttlMs: number; graceMs: number };
}

export function createConnections({ scripts, lease, log, announce, timings }: ConnectionsDeps) {
  const held = new Map<string, Held>();
  /** Ended, and Redis has not confirmed it yet: how, and since when. */
  const ended = new Map<string, { userId: string; graceMs: number; at: number }>();
  let missed = false;
  const pace = createPace((error) => {
    if (!isTemporary(error)) log.error({ err: error }, 'a connection was not counted');
  });

  const end = async (socketId: string, userId: string, graceMs: number) => {
    const at = ended.get(socketId)?.at ?? performance.now();
    ended.set(socketId, { userId, graceMs, at });
    const news =
      graceMs > 0
        ? await store.close(scripts, lease.due(), userId, socketId, graceMs)
        : await store.drop(scripts, lease.due(), userId, socketId);
    ended.delete(socketId);
    announce(news);
  };

  /** The lease of a connection as it stands now; nothing when it has ended or lapsed. */
  const leaseOf = (connection: string) => {
    const known = held.get(connection);
    if (!known) return [];
    const { userId, status, heardAt } = known;
    const remainingMs = Math.round(timings.ttlMs - (performance.now() - heardAt));
    return remainingMs > 0 ? [{ connection, userId, status, remainingMs }] : [];
  };

  const registerAll = async () => {
    const all = [...held.keys()];
    for (let from = 0; from < all.length; from += store.BATCH) {
      const leases = all.slice(from, from + store.BATCH).flatMap(leaseOf);
      if (leases.length > 0) announce(await store.register(scripts, lease.due(), lease.run, leases));
    }
  };

  lease.onRenewal(async (lost) => {
    if (lost) missed = true;
    for (const [socketId, { userId, graceMs, at }] of ended) {
      if (performance.now() - at > timings.ttlMs) ended.delete(socketId);
      else await end(socketId, userId, graceMs);
    }
    if (!missed) return;
    missed = false;
    await registerAll().catch((error: unknown) => {
      missed = true;
      throw error;
    });
  });

  /** Renews connections as they stand by then: one that has ended meanwhile must not come back. */
  const renew = async (socketIds: string[]) => {
    // What a frozen node finds to read may come from clients that have gone: the renewal of its lease counts those who
    // have not.
    if (!lease.isFresh()) {
      missed = true;
      await lease.renew();
      return [];
    }
    for (let from = 0; from < socketIds.length; from += store.BATCH) {
      const leases = socketIds.slice(from, from + store.BATCH).flatMap(leaseOf);
      if (leases.length > 0) announce(await store.touch(scripts, lease.due(), lease.run, leases));
    }
    return [];
  };
  const renewTogether = createBatcher(renew, gatherFor(GATHER_MS));

  /** Tells Redis how a connection stands. */
  const settle = async (socketId: string, userId: string) => {
    const known = held.get(socketId);
    if (!known) return end(socketId, userId, 0);
    try {
      await renewTogether('', socketId);
    } catch (error) {
      missed = true;
      throw error;
    }
  };

  return {
    /**
     * Counts a connection for another TTL, in a script call that it shares with others; one that flaps is counted as it
     * stands once a second.
     * @throws the Redis error; the connection is registered when Redis is back
     */
    async hold(socketId: string, userId: string, status: 'online' | 'away'): Promise<void> {
      held.set(socketId, { userId, status, heardAt: performance.now() });
      ended.delete(socketId);
      await pace.run(socketId, () => settle(socketId, userId));
    },

    /** The connection is closed: it counts for the grace, in case its client comes back. */
    async close(socketId: string): Promise<void> {
      pace.forget(socketId);
      const graceMs = held.has(socketId) ? timings.graceMs : 0; // dropped, and Redis was still to hear of it
      const userId = (held.get(socketId) ?? ended.get(socketId))?.userId;
      if (userId === undefined) return;
      held.delete(socketId);
      await end(socketId, userId, graceMs).catch((error: unknown) => {
        if (!isTemporary(error)) log.error({ err: error, user_id: userId }, 'a connection was not closed');
      });
    },

    /**
     * The connection counts no more, though it is there; of one that flaps Redis hears once a second.
     * @throws the Redis error; it is made good when Redis is back
     */
    async drop(socketId: string, userId: string): Promise<void> {
      held.delete(socketId);
      ended.set(socketId, { userId, graceMs: 0, at: performance.now() });
      await pace.run(socketId, () => settle(socketId, userId));
    },
  };
}
