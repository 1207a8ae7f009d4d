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
import { currentCursor, findBans, findMemberships, readFeedChanges } from './live.repo.ts';
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
  /** How long the first subscription waits for transactions that were begun before it. */
  patienceMs?: number;
}

export type FeedHub = ReturnType<typeof createFeedHub>;

export function createFeedHub({
  db,
  rooms,
  log,
  pollMs = 1_000,
  batchMs = 250,
  patienceMs = 8_000,
}: FeedHubDeps) {
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

  const send = (to: ReturnType<typeof rooms.local.to>, changes: FeedChange[]) => {
    const events = changes.flatMap(({ event }) => event ?? []);
    const ids = changes.filter(({ event }) => !event).map(({ id }) => id);
    if (events.length > 0) to.emit('feed.events', { events });
    if (ids.length > 0) to.emit('feed.removed', { ids });
  };

  const userOf = (socketId: string) => rooms.sockets.get(socketId)?.data.caller.id;

  /** `socketIds` by the rooms that `roomsOf` names for their users, so that each batch is encoded once a group. */
  const groupsOf = (socketIds: string[], roomsOf: Map<string, string[]>) => {
    const groups = new Map<string, { roomIds: Set<string>; socketIds: string[] }>();
    for (const socketId of socketIds) {
      const roomIds = roomsOf.get(userOf(socketId) ?? '');
      if (!roomIds) continue;
      const group = groups.get(roomIds.join()) ?? { roomIds: new Set(roomIds), socketIds: [] };
      group.socketIds.push(socketId);
      groups.set(roomIds.join(), group);
    }
    return [...groups.values()];
  };

  const inAnyOf =
    (roomIds: Set<string>) =>
    ({ room_id }: FeedChange) =>
      room_id !== null && roomIds.has(room_id);

  /**
   * To everybody in `scopes` the same, once, but for those who are banned from a room of the batch. Users who are not
   * among the `asked` came after the batch was read, so that nothing in it is owed to them, and nobody knows their bans.
   */
  const deliverToAll = (
    scopes: FeedScope[],
    changes: FeedChange[],
    asked: Set<string>,
    bans: Map<string, string[]>,
  ) => {
    if (changes.length === 0) return;
    const here = [...new Set(scopes.flatMap(subscribed))];
    const groups = groupsOf(bans.size > 0 ? here : [], bans);
    const late = here.filter((socketId) => !asked.has(userOf(socketId) ?? ''));
    const apart = groups.flatMap(({ socketIds }) => socketIds);
    const channels = scopes.map((scope) => CHANNELS[scope]);
    send(rooms.local.to(channels).except([...apart, ...late]), changes);
    for (const { roomIds, socketIds } of groups) {
      const isTheirs = inAnyOf(roomIds);
      send(
        rooms.local.to(socketIds),
        changes.filter((change) => !isTheirs(change)),
      );
    }
  };

  const deliverMine = (changes: FeedChange[], memberships: Map<string, string[]>) => {
    const notInCity = (socketId: string) => !rooms.sockets.get(socketId)?.rooms.has(CHANNELS.city);
    for (const { roomIds, socketIds } of groupsOf(subscribed('mine').filter(notInCity), memberships)) {
      send(rooms.local.to(socketIds), changes.filter(inAnyOf(roomIds)));
    }
  };

  /** Reads and delivers one batch; what fails is left to the next. */
  const step = async (from: FeedCursor) => {
    const { changes, next, more } = await readFeedChanges(db, from, BATCH_BOUNDS);
    const roomIds = new Set(changes.flatMap(({ room_id }) => room_id ?? []));
    const usersOf = (scope: FeedScope) => new Set(subscribed(scope).flatMap((id) => userOf(id) ?? []));
    const mine = usersOf('mine');
    const everybody = new Set([...mine, ...usersOf('city')]);
    const [memberships, bans] = await Promise.all([
      findMemberships(db, [...mine], [...roomIds]),
      findBans(db, [...everybody], [...roomIds]),
    ]);
    // From here on in one tick, so that a socket which changes its scopes meanwhile neither misses nor repeats any.
    cursor = next;
    if (changes.length > 0) {
      const events = changes.filter(({ event }) => event);
      const removals = changes.filter(({ event }) => !event);
      deliverToAll(['city'], events, everybody, bans);
      deliverMine(events, memberships);
      // Whoever has left the room, or was in one that is gone, may still show its events: no membership counts here.
      deliverToAll(['city', 'mine'], removals, everybody, bans);
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
    opening ??= currentCursor(db, patienceMs)
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
     * @throws storage errors, and unavailable behind a long transaction, when this node has no other subscriber
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
