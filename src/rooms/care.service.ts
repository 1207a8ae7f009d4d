/** The care of rooms: making sure of the default ones, changing and deleting one, purging what a deleted one leaves. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Caller } from '../auth/caller.ts';
import type { Room, UpdateRoom } from '../contract/rooms.ts';
import type { Feed } from '../feed/feed.service.ts';
import type { Filters } from '../moderation/filters.ts';
import type { ModerationLog } from '../moderation/moderation.log.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import { changeRoom, endRoom, listEnded, lockHead, purgeBatch } from './care.repo.ts';
import { insertRoom, markDefault, roomIdOf } from './rooms.repo.ts';
import { noSuchRoom } from './rooms.service.ts';
import type { Rooms } from './rooms.service.ts';
import type { Subscriptions } from './subscriptions.ts';

/** Rows in one transaction, which has to end well within the statement timeout. */
const BATCH = 2_000;
/** How long a deletion waits for its purge; what is left is purged behind it. */
const WAIT_MS = 2_000;

interface RoomCareDeps {
  db: Db;
  rooms: Rooms;
  subscriptions: Subscriptions;
  feed: Feed;
  filters: Filters;
  moderationLog: ModerationLog;
  /** Slugs of the rooms that every start makes sure of. */
  defaultRooms: readonly string[];
  log: Logger;
  /** How often to look for a room whose purge was interrupted. */
  sweepMs?: number;
}

export type RoomCare = ReturnType<typeof createRoomCare>;

export function createRoomCare(deps: RoomCareDeps) {
  const { db, rooms, subscriptions, feed, filters, moderationLog, defaultRooms, log } = deps;
  let stopping = false;
  let endSweeping: (() => Promise<void>) | undefined;
  const purging = new Set<Promise<void>>();

  const purge = async (roomId: string) => {
    let more = true;
    while (more && !stopping) {
      more = await purgeBatch(db, roomId, BATCH);
      feed.published();
    }
  };

  /** Each once: of what somebody has locked something stays for the next sweep. */
  const sweep = async () => {
    for (const roomId of await listEnded(db)) await purge(roomId);
  };

  return {
    /**
     * Makes sure that the default rooms exist. One that was deleted is purged first; if somebody has some of it locked, it is
     * left to a later start.
     */
    async ensureDefaults(): Promise<void> {
      const ids = defaultRooms.map(roomIdOf);
      for (const roomId of await listEnded(db)) if (ids.includes(roomId)) await purge(roomId);
      for (const slug of defaultRooms) {
        const name = slug.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => {
          return (dash ? ' ' : '') + letter.toUpperCase();
        });
        await insertRoom(db, { slug, name, description: null, is_default: true, created_by: null });
      }
      await markDefault(db, ids);
    },

    /** Changes a room. @throws AppError not_found, invalid */
    async update(caller: Caller, roomId: string, change: UpdateRoom, requestId: string): Promise<Room> {
      filters.check({ name: change.name, description: change.description });
      await db.transaction(async (trx) => {
        if (!(await lockHead(trx, roomId))) throw noSuchRoom();
        await changeRoom(trx, roomId, change);
        const act = { action: 'update_room', moderator_id: caller.id, room_id: roomId } as const;
        await moderationLog.record(trx, { ...act, request_id: requestId });
      });
      return rooms.get(caller, roomId);
    },

    /**
     * Deletes a room: it is gone at once, for everybody; its messages and feed events follow in batches.
     * @throws AppError not_found; conflict for a room that the next start would bring back
     */
    async remove(caller: Caller, roomId: string, requestId: string): Promise<void> {
      if (defaultRooms.map(roomIdOf).includes(roomId)) {
        throw new AppError('conflict', 'This room is in CITY_DEFAULT_ROOMS.');
      }
      await db.transaction(async (trx) => {
        if (!(await endRoom(trx, roomId))) throw noSuchRoom();
        const act = { action: 'delete_room', moderator_id: caller.id, room_id: roomId } as const;
        await moderationLog.record(trx, { ...act, request_id: requestId });
      });
      await subscriptions.close({ room_id: roomId, user_id: null, reason: 'deleted' });
      const purged = purge(roomId)
        .catch((error: unknown) => log.warn({ err: error, room_id: roomId }, 'a purge goes on later'))
        .finally(() => purging.delete(purged));
      purging.add(purged);
      await Promise.race([purged, sleep(WAIT_MS, undefined, { ref: false })]);
    },

    start(): void {
      endSweeping = startLoop(deps.sweepMs ?? 60_000, sweep, log, 'deleted rooms are not purged');
    },

    async stop(): Promise<void> {
      stopping = true;
      await Promise.all([...purging, endSweeping?.()]);
    },
  };
}
