/** The feed: pages of the city's and of one's own, and the hints that keep timelines filled. */
import { LRUCache } from 'lru-cache';
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
const HINTED_ROOMS_MAX = 50_000;

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
  // A room that was hinted at has a job that runs after the delay, and that job finds what comes until then.
  const hinted = new LRUCache<string, true>({ max: HINTED_ROOMS_MAX, ttl: FAN_OUT_DELAY_MS });

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
     * Says that rooms have new events: at most about one job a second for each follows. Returns at once; a hint that
     * is lost costs nothing but a little work for readers.
     */
    hint(roomIds: Iterable<string>): void {
      for (const roomId of roomIds) {
        if (hinted.has(roomId)) continue;
        hinted.set(roomId, true);
        const options = { jobId: `feed.fanout-${roomId}`, delay: FAN_OUT_DELAY_MS };
        enqueue('feed.fanout', { room_id: roomId }, options).catch((error: unknown) => {
          log.debug({ err: error, room_id: roomId }, 'a fan-out was not queued');
        });
      }
    },
  };
}
