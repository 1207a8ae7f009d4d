/** Presence: connections of this node, their leases and transitions, and what the rest of the city asks about them. */
import { Counter } from 'prom-client';
import { AWAY_AFTER_MS, CITY_VIEW_MAX, HEARTBEAT_INTERVAL_S, PRESENCE_TTL_S } from '../contract/presence.ts';
import type {
  Heartbeat,
  PresenceSnapshot,
  PresenceSubscription,
  UserPresence,
} from '../contract/presence.ts';
import { AppError, isTemporary } from '../platform/errors.ts';
import type { PresenceNamespace, PresenceSocket } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RedisLinks } from '../platform/redis.ts';
import { startLoop } from '../platform/loop.ts';
import type { NodeLease } from './node-lease.ts';
import type { Occupancy } from './occupancy.ts';
import { createAudience } from './presence.audience.ts';
import { createConnections } from './presence.connections.ts';
import { createNews } from './presence.news.ts';
import * as store from './presence.store.ts';
import type { News } from './presence.store.ts';
import { createSubscriptions } from './presence.subscriptions.ts';
import { createView } from './presence.view.ts';
import { presenceScripts } from './scripts.ts';

/** Milliseconds. */
const TIMINGS = {
  ttlMs: PRESENCE_TTL_S * 1000,
  graceMs: 2_000,
  /** The least time between two looks for lapsed leases. */
  reapMs: 250,
  /**
   * The longest. Shorter than what is left to a closed connection and to a stopped node, so that neither lapses unseen,
   * and than the 2 s without a look after which Redis counts as having been away.
   */
  reapIdleMs: 750,
  checkMs: 2_000,
  /** How often the view takes over everybody's last_seen. */
  refreshMs: 30_000,
  /** How long after an outage of Redis nobody is reaped; more than a node needs to find Redis again. */
  calmMs: 3_000,
};

interface PresenceDeps {
  redis: RedisLinks;
  lease: NodeLease;
  namespace: PresenceNamespace;
  occupancy: Occupancy;
  log: Logger;
  metrics: Metrics;
  cityViewMax?: number;
  /** Users and rooms that one connection may name. */
  namedMax?: number;
  timings?: Partial<typeof TIMINGS>;
}

export type Presence = ReturnType<typeof createPresence>;

/** Told of a change of status, with the rooms that the user has open on any node. */
type TransitionListener = (presence: UserPresence, openRooms: string[]) => void;

export function createPresence(deps: PresenceDeps) {
  const {
    redis,
    lease,
    namespace,
    occupancy,
    log,
    metrics,
    cityViewMax = CITY_VIEW_MAX,
    namedMax = 5_000,
  } = deps;
  const timings = { ...TIMINGS, ...deps.timings };
  const scripts = presenceScripts(redis.commands);
  const reloads = new Counter({
    name: 'city_presence_reloads_total',
    help: 'Snapshots of presence that this node took over, by whether they differed',
    labelNames: ['differed'],
    registers: [metrics.registry],
  });

  const listeners: TransitionListener[] = [];
  const view = createView({
    log,
    readSnapshot: () => store.snapshot(scripts),
    readStatuses: (userIds) => store.statuses(scripts, userIds),
    onChange(presence, rooms) {
      for (const listener of listeners) {
        try {
          listener(presence, rooms);
        } catch (error) {
          log.error({ err: error, user_id: presence.user_id }, 'a transition was not passed on');
        }
      }
    },
    onDirty: () => audience.schedule(),
    onReload: (differences) => reloads.inc({ differed: String(differences > 0) }),
  });
  const audience = createAudience(namespace, view, cityViewMax);
  const news = createNews({ namespace, view, log });
  const connections = createConnections({ scripts, lease, log, announce: news.announce, timings });
  const subscriptions = createSubscriptions({ scripts, occupancy, audience, metrics, namedMax });

  /** Resolves with the time until there is something to reap again. */
  const reap = async () => {
    for (;;) {
      const reaped = await store.reap(scripts, lease.run, timings.calmMs);
      news.announce(reaped.news);
      occupancy.depart(reaped.departures);
      // Frozen for long, or Redis was emptied: what this node holds has to be registered again.
      if (!reaped.held) await lease.renew();
      if (!reaped.more) return Math.min(reaped.dueInMs, timings.reapIdleMs);
    }
  };

  let refreshedAt = 0;
  const check = async () => {
    if (performance.now() - refreshedAt > timings.refreshMs) {
      await view.reload();
      refreshedAt = performance.now();
    } else view.check(await store.position(redis.commands));
  };

  let running = false;
  const endings: (() => Promise<void>)[] = [];
  redis.onReady(() => {
    if (running) view.reload().catch(() => {}); // the next check repeats it
  });

  /** One user's presence from Redis. */
  const get = async (userId: string): Promise<UserPresence> => {
    const [found] = await store.statuses(scripts, [userId]);
    return found!.presence;
  };

  return {
    /** Loads the view, if Redis answers, and begins to reap, check and listen. Start the lease as well. */
    async start(): Promise<void> {
      running = true;
      news.start();
      await view.reload().then(
        () => (refreshedAt = performance.now()),
        () => {},
      );
      endings.push(
        startLoop(timings.reapMs, reap, log, 'presence cannot be reaped'),
        startLoop(timings.checkMs, check, log, 'presence cannot be checked'),
      );
    },

    /** Ends every loop and timer. Stop the lease after it: what is left here then goes with the lease. */
    async stop(): Promise<void> {
      running = false;
      await Promise.all(endings.map((end) => end()));
      news.stop();
      view.stop();
      audience.stop();
    },

    /**
     * Puts the socket's user online until the socket disconnects, and shows it the city. Never throws for a Redis
     * that is away: the connection is registered when it is back.
     */
    async connect(socket: PresenceSocket): Promise<void> {
      if (!socket.connected) return;
      const counted = connections.hold(socket.id, socket.data.caller.id, 'online');
      const close = () => connections.close(socket.id);
      socket.on('disconnect', () => {
        audience.forget(socket);
        void counted.then(close, close); // only what was counted has a grace
      });
      await counted.catch((error: unknown) => {
        if (!isTemporary(error)) throw error;
      });
      audience.welcome(socket);
    },

    /**
     * Keeps a connection counted for another 40 s; one script call. One that is dropped is answered alike and does nothing.
     * @throws AppError forbidden for another user's id; the Redis error (isTemporary)
     */
    async heartbeat(
      socket: PresenceSocket,
      { user_id, status: asked, idle_ms = 0 }: Heartbeat,
      isDropped = false,
    ) {
      const { id } = socket.data.caller;
      if (user_id !== undefined && user_id !== id) {
        throw new AppError('forbidden', 'A heartbeat speaks for its own user only.');
      }
      const status = asked === 'away' || idle_ms >= AWAY_AFTER_MS ? ('away' as const) : ('online' as const);
      if (socket.connected && !isDropped) await connections.hold(socket.id, id, status);
      return { status, ttl_s: PRESENCE_TTL_S, interval_s: HEARTBEAT_INTERVAL_S } as const;
    },

    /**
     * Stops counting a connection at once; a later heartbeat counts it again.
     * @throws the Redis error (isTemporary); it is made good when Redis is back
     */
    offline: (socket: PresenceSocket): Promise<void> => connections.drop(socket.id, socket.data.caller.id),

    /**
     * Adds users, rooms or the city to what a socket is told of; answers how these stand.
     * @throws AppError rate_limited past what one connection may name; the Redis error (isTemporary)
     */
    subscribe: (socket: PresenceSocket, wanted: PresenceSubscription): Promise<PresenceSnapshot> =>
      subscriptions.add(socket, wanted),

    /** Takes users, rooms or the city out again; answers how these stand. @throws the Redis error (isTemporary) */
    unsubscribe: (socket: PresenceSocket, unwanted: PresenceSubscription): Promise<PresenceSnapshot> =>
      subscriptions.remove(socket, unwanted),

    /** At most `limit` users who are not offline, those online first; the numbers of all. @throws the Redis error */
    async list(limit: number): Promise<{ users: UserPresence[]; online: number; away: number }> {
      const { users, online, away } = await store.snapshot(scripts, limit);
      return { users, online, away };
    },

    /** A user's presence; offline and null for somebody unknown. @throws the Redis error (isTemporary) */
    get,

    /** The presence of each of `userIds`. @throws the Redis error (isTemporary) */
    async statuses(userIds: string[]): Promise<Map<string, UserPresence>> {
      const found = await store.statuses(scripts, userIds);
      return new Map(found.map(({ presence }) => [presence.user_id, presence]));
    },

    /** Everybody who is not offline as this node knows it, with or without Redis; live, not a copy. */
    present: (): ReadonlyMap<string, UserPresence> => view.here,

    /**
     * Counts `source` (such as matrix) as one more connection of the user for 40 s; offline ends it at once.
     * @throws the Redis error (isTemporary)
     */
    async setFromOutside(
      userId: string,
      source: string,
      status: 'online' | 'away' | 'offline',
    ): Promise<void> {
      const connection = `@${source}`;
      const changed: News =
        status === 'offline'
          ? await store.drop(scripts, lease.due(), userId, connection)
          : await store.touch(scripts, lease.due(), '', [
              { userId, connection, status, remainingMs: timings.ttlMs },
            ]);
      news.announce(changed);
    },

    /** Calls `listener` for every transition in the city, in their order, on every node. */
    onTransition: (listener: TransitionListener): void => void listeners.push(listener),
  };
}
