/** The job `feed.fanout`: writes the new events of rooms to the timelines of their members. */
import type { Db } from '../platform/db.ts';
import type { Logger } from '../platform/logger.ts';
import { fanOutBatch } from './timelines.repo.ts';
import type { FanOutBounds } from './timelines.repo.ts';

const BOUNDS: FanOutBounds = { maxMembers: 1_000, maxEvents: 1_000, maxRows: 20_000 };

interface FeedJobDeps {
  db: Db;
  log: Logger;
  bounds?: Partial<FanOutBounds>;
}

/**
 * The handler of `feed.fanout`. May run any number of times, at once and for rooms that are gone: the watermark in
 * the database says what is still to be done. Throws storage errors, for the queue to repeat.
 */
export function createFeedJob({ db, log, bounds }: FeedJobDeps) {
  const limits = { ...BOUNDS, ...bounds };
  return async ({ room_ids }: { room_ids: string[] }): Promise<void> => {
    let batches = 0;
    for (const room_id of room_ids) {
      do batches++;
      while (await fanOutBatch(db, room_id, limits));
    }
    log.debug({ rooms: room_ids.length, batches }, 'timelines are filled');
  };
}
