/**
 * The live feed of this node: one reader of the feed's changes for all the local subscribers.
 *
 * The changes come from PostgreSQL alone (live.repo), whichever node made them. News of a commit only says when to
 * look; without any news a poll finds the same. A cursor exists while there are subscribers here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedScope } from '../contract/feed.ts';
import type { Db } from '../platform/db.ts';
import type { RoomsNamespace, RoomsSocket } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { currentCursor, findMemberships, readFeedChanges } from './live.repo.ts';
import type { FeedChange, FeedCursor } from './live.repo.ts';

const BATCH_BOUNDS = { maxRows: 1_000, maxBytes: 256 * 1024 };
/** The first rest after a read that found nothing though it was asked for; doubles up to `batchMs`. */
const RETRY_MS = 20;

/** The socket.io rooms of the subscribers. Who is in both is served by the city's, which holds all of the other. */
const CHANNELS: Record<FeedScope, string> = { city: 'feed:city', mine: 'feed:mine' };

interface FeedHubDeps {
  db: Db;
  rooms: RoomsNamespace;
  log: Logger;
  /** How often to look without being nudged. */
  pollMs?: number;
  /** The least time between two batches. */
  batchMs?: number;
}

export type FeedHub = ReturnType<typeof createFeedHub>;

export function createFeedHub({ db, rooms, log, pollMs = 1_000, batchMs = 250 }: FeedHubDeps) {
  const stopping = new AbortController();
  let cursor: FeedCursor | undefined;
  let opening: Promise<void> | undefined;
  /** Subscriptions under way, for which the cursor must stay. */
  let joining = 0;
  let nudged = false;
  let wake = () => {};
  let serving = Promise.resolve();

  const subscribed = (scope: FeedScope) => [...(rooms.adapter.rooms.get(CHANNELS[scope]) ?? [])];

  const nudge = () => {
    if (!cursor) return;
    nudged = true;
    wake();
  };

  /** Resolves at the next nudge, after `pollMs` at the latest. */
  const nap = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pollMs);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const send = (channels: string | string[], changes: FeedChange[]) => {
    const events = changes.filter(({ removed }) => !removed).map(({ event }) => event);
    const ids = changes.filter(({ removed }) => removed).map(({ event }) => event.id);
    if (events.length > 0) rooms.local.to(channels).emit('feed.events', { events });
    if (ids.length > 0) rooms.local.to(channels).emit('feed.removed', { ids });
  };

  /** Sockets of `mine` by the rooms of the batch that concern them, so that each batch is encoded once a group. */
  const deliverMine = (changes: FeedChange[], memberships: Map<string, string[]>) => {
    const groups = new Map<string, { roomIds: Set<string>; socketIds: string[] }>();
    for (const socketId of subscribed('mine')) {
      const socket = rooms.sockets.get(socketId);
      if (!socket || socket.rooms.has(CHANNELS.city)) continue;
      const roomIds = memberships.get(socket.data.caller.id);
      if (!roomIds) continue;
      const group = groups.get(roomIds.join()) ?? { roomIds: new Set(roomIds), socketIds: [] };
      group.socketIds.push(socketId);
      groups.set(roomIds.join(), group);
    }
    for (const { roomIds, socketIds } of groups.values()) {
      const theirs = ({ event }: FeedChange) => event.room_id !== null && roomIds.has(event.room_id);
      send(socketIds, changes.filter(theirs));
    }
  };

  /** Reads and delivers one batch; what fails is left to the next. */
  const step = async (from: FeedCursor) => {
    const { changes, next, more } = await readFeedChanges(db, from, BATCH_BOUNDS);
    const roomIds = new Set(changes.flatMap(({ event }) => event.room_id ?? []));
    const userIds = new Set(subscribed('mine').flatMap((id) => rooms.sockets.get(id)?.data.caller.id ?? []));
    const memberships = await findMemberships(db, [...userIds], [...roomIds]);
    // From here on in one tick, so that a socket which changes its scopes meanwhile neither misses nor repeats any.
    cursor = next;
    if (changes.length > 0) {
      send(CHANNELS.city, changes);
      deliverMine(changes, memberships);
    }
    return { found: changes.length > 0, more };
  };

  const rest = (ms: number) => sleep(ms, undefined, { signal: stopping.signal }).catch(() => {});

  const serve = async () => {
    let retryMs = RETRY_MS;
    let failing = false;
    while (!stopping.signal.aborted) {
      if (!nudged) await nap();
      const asked = nudged;
      nudged = false;
      if (joining === 0 && subscribed('city').length + subscribed('mine').length === 0) cursor = undefined;
      if (!cursor || stopping.signal.aborted) continue;
      try {
        const { found, more } = await step(cursor);
        failing = false;
        if (more) nudged = true;
        if (found) await rest(batchMs);
        else if (asked) await rest(retryMs);
        retryMs = !found && asked ? Math.min(retryMs * 2, batchMs) : RETRY_MS;
      } catch (error) {
        if (!failing) log.warn({ err: error }, 'the live feed cannot be read; trying again');
        failing = true;
        await rest(pollMs);
      }
    }
  };

  /** Makes sure that there is a cursor: whatever is committed from then on is delivered. */
  const open = async () => {
    if (cursor) return;
    opening ??= currentCursor(db)
      .then((current) => {
        cursor = current;
        nudge();
      })
      .finally(() => {
        opening = undefined;
      });
    await opening;
  };

  return {
    /**
     * Adds a scope to what `socket` receives: everything that is committed after this resolves.
     * @throws storage errors, when this node has no other subscriber
     */
    async subscribe(socket: RoomsSocket, scope: FeedScope): Promise<void> {
      joining++;
      try {
        await open();
        if (socket.connected) void socket.join(CHANNELS[scope]);
      } finally {
        joining--;
      }
    },

    /** Takes a scope out again; the other one stays. */
    unsubscribe(socket: RoomsSocket, scope: FeedScope): void {
      void socket.leave(CHANNELS[scope]);
    },

    /** Says that the feed has changed. Cheap, and harmless when it has not. */
    nudge,

    start(): void {
      serving = serve();
    },

    async stop(): Promise<void> {
      stopping.abort();
      wake();
      await serving;
    },
  };
}
