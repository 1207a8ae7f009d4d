/** The feed: pages of the city's and of one's own, and the hints that keep timelines filled. */
import { randomUUID } from 'node:crypto';
import type { Caller } from '../auth/caller.ts';
import type { FeedEvent, ListFeed } from '../contract/feed.ts';
import type { Enqueue } from '../jobs.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { Logger } from '../platform/logger.ts';
import { findBannedRooms, findPlace, insertRoomCreated, listCity } from './feed.repo.ts';
import type { RoomCreated } from './feed.repo.ts';
import { listMine } from './timelines.repo.ts';

const FAN_OUT_DELAY_MS = 1_000;
/** In one job; the rooms of a larger city take turns among workers. */
const ROOMS_MAX = 500;

interface FeedDeps {
  db: Db;
  log: Logger;
  newId: NewId;
  enqueue: Enqueue;
  /** Tells the live feed that there is something new. */
  nudge(): void;
}

export type Feed = ReturnType<typeof createFeed>;

export function createFeed({ db, log, newId, enqueue, nudge }: FeedDeps) {
  /** Rooms with new events since the last job. */
  const hinted = new Set<string>();

  const fanOut = () => {
    const rooms = [...hinted];
    hinted.clear();
    for (let from = 0; from < rooms.length; from += ROOMS_MAX) {
      const room_ids = rooms.slice(from, from + ROOMS_MAX);
      enqueue('feed.fanout', { room_ids }, { jobId: `feed.fanout-${randomUUID()}` }).catch(
        (error: unknown) => {
          log.debug({ err: error, rooms: room_ids.length }, 'a fan-out was not queued');
        },
      );
    }
  };

  return {
    /**
     * A page of events, newest first; nothing of rooms that the caller is banned from.
     * @throws AppError invalid when `before` names an event that never was
     */
    async list(caller: Caller, query: ListFeed): Promise<FeedEvent[]> {
      const { limit, offset = 0, kind, scope } = query;
      let before: number | undefined;
      if (query.before !== undefined) {
        before = await findPlace(db, query.before);
        if (before === undefined) {
          const errors = [{ path: 'before', message: 'no such event' }];
          throw new AppError('invalid', 'There is no event of that id to page from.', { errors });
        }
      }
      const page = { limit, offset, before, kind };
      // A ban ended the membership, so that one's own feed has nothing of the room.
      if (scope === 'mine') return listMine(db, caller.id, page);
      return listCity(db, page, await findBannedRooms(db, caller.id));
    },

    /** Adds the event of a new room; `trx` must be the transaction that creates the room and its head. */
    roomCreated(trx: Db, event: Omit<RoomCreated, 'id'>): Promise<void> {
      return insertRoomCreated(trx, { id: newId('evt_city'), ...event });
    },

    /** Call after the commit of an event: the live feed looks for it at once. */
    published(): void {
      nudge();
    },

    /**
     * Says that rooms have new events: a job a second for all of them together follows. Returns at once; a hint that
     * is lost costs nothing but a little work for readers.
     */
    hint(roomIds: Iterable<string>): void {
      if (hinted.size === 0) setTimeout(fanOut, FAN_OUT_DELAY_MS).unref();
      for (const roomId of roomIds) hinted.add(roomId);
    },
  };
}
