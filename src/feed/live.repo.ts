/**
 * What live subscribers must hear of: each event, and each removal of one, once, in the order of their places, with no
 * gap.
 *
 * Places come from a sequence and are not committed in order. A mark (migration 0010) is the last place that was taken,
 * with a transaction id that is higher than the takers': once all below it have ended, nothing can appear any more up to
 * that place, and all of it can be read. A commit behind a mark that waits is waited for with it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedEvent } from '../contract/feed.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import { FEED_EVENT } from './feed.repo.ts';

/** A place up to which all has ended when no transaction below `tx` (xid8, hence text) runs. */
interface FeedMark {
  n: number;
  tx: string;
}

/** The last place that was read, and up to where to read next where that is known. */
export interface FeedCursor {
  n: number;
  mark?: FeedMark;
}

/** An event that appeared; without `event`, one that disappeared. */
export interface FeedChange {
  id: string;
  room_id: string | null;
  event?: FeedEvent;
}

export interface FeedChanges {
  changes: FeedChange[];
  /** Where to go on from. */
  next: FeedCursor;
  /** Whether there may be more: past the bounds of this read or its mark, or waiting for a transaction. */
  more: boolean;
}

/** How often to look whether a transaction has ended. */
const AGAIN_MS = 10;

/** Whether all transactions below `:tx` have ended. */
const ENDED = 'pg_snapshot_xmin(pg_current_snapshot()) >= :tx::xid8';

/** The mark of now; without `tx` when nothing took a place after `since`. */
async function takeMark(db: Db, since: number): Promise<{ n: number; tx: string | null }> {
  const [mark] = await rows<{ n: number; tx: string | null }>(
    db,
    'select n, tx::text from city_feed_mark(?)',
    [since],
  );
  return mark!;
}

/**
 * A cursor behind everything that was committed before the call, and in front of all that is committed after the end of
 * it: waits for the transactions that run.
 * @throws AppError unavailable when one of them runs for longer than `patienceMs`
 */
export async function currentCursor(db: Db, patienceMs: number): Promise<FeedCursor> {
  const { n, tx } = await takeMark(db, -1);
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const [now] = await rows<{ ended: boolean }>(db, `select ${ENDED} ended`, { tx });
    if (now!.ended) return { n };
    if (performance.now() > deadline) {
      throw new AppError('unavailable', 'The live feed waits for a long transaction; try again.');
    }
    await sleep(AGAIN_MS);
  }
}

/** The row of a change, of none where `n` is null. Of what is removed there are only the id and the room. */
type ChangeRow = {
  ended: boolean;
  known: boolean;
  n: number | null;
  removed: boolean;
  bytes: number;
} & FeedEvent;

/** The changes after `cursor`, oldest first: at most `maxRows`, and no more after `maxBytes` of payload. */
export async function readFeedChanges(
  db: Db,
  cursor: FeedCursor,
  { maxRows, maxBytes }: { maxRows: number; maxBytes: number },
): Promise<FeedChanges> {
  const { n: upto, tx } = cursor.mark ?? (await takeMark(db, cursor.n));
  // A database that was restored may count places, and transactions, from further back.
  if (tx === null) return { changes: [], next: { n: upto }, more: false };
  const found = await rows<ChangeRow>(
    db,
    `select ${ENDED} ended, pg_snapshot_xmax(pg_current_snapshot()) >= :tx::xid8 known, e.*
     from (values (1)) always left join (
       (select e.n, false removed, octet_length(e.payload::text) bytes, ${FEED_EVENT} from city_feed_events e
        where e.n > :n and e.n <= :upto and e.removed_at is null and ${ENDED} order by e.n limit :maxRows)
       union all
       (select r.n, true, 0, r.event_id, null, r.room_id, null, null, null, null from city_feed_removals r
        where r.n > :n and r.n <= :upto and ${ENDED} order by r.n limit :maxRows)
       order by n limit :maxRows
     ) e on true
     order by e.n`,
    { tx, n: cursor.n, upto, maxRows },
  );
  const mark = { n: upto, tx };
  const { ended, known } = found[0]!;
  if (!ended) return { changes: [], next: known ? { ...cursor, mark } : { n: cursor.n }, more: true };

  const changes: FeedChange[] = [];
  let { n: last } = cursor;
  let bytes = 0;
  for (const { ended: _ended, known: _known, n, removed, bytes: size, ...event } of found) {
    if (n === null || (bytes > 0 && bytes + size > maxBytes)) break;
    const { id, room_id } = event;
    changes.push(removed ? { id, room_id } : { id, room_id, event });
    last = n;
    bytes += size;
  }
  const complete = changes.length < maxRows && (found[0]!.n === null || changes.length === found.length);
  if (!complete) return { changes, next: { n: last, mark }, more: true };
  // Behind a mark of an earlier read there may be something that was told of since.
  return { changes, next: { n: upto }, more: cursor.mark !== undefined };
}

/** For each of `userIds` that is banned from any of `roomIds`: which of them, in order. */
export async function findBans(db: Db, userIds: string[], roomIds: string[]): Promise<Map<string, string[]>> {
  if (userIds.length === 0 || roomIds.length === 0) return new Map();
  const found = await rows<{ user_id: string; room_ids: string[] }>(
    db,
    `select user_id, array_agg(room_id order by room_id) room_ids from city_restrictions_in_force
     where kind = 'ban' and user_id = any(?) and room_id = any(?) group by user_id`,
    [userIds as never, roomIds as never],
  );
  return new Map(found.map(({ user_id, room_ids }) => [user_id, room_ids]));
}

/** For each of `userIds` that is a member of any of `roomIds`: which of them, in order. */
export async function findMemberships(
  db: Db,
  userIds: string[],
  roomIds: string[],
): Promise<Map<string, string[]>> {
  if (userIds.length === 0 || roomIds.length === 0) return new Map();
  const found = await rows<{ user_id: string; room_ids: string[] }>(
    db,
    `select user_id, array_agg(room_id order by room_id) room_ids from city_room_members
     where user_id = any(?) and room_id = any(?) group by user_id`,
    [userIds as never, roomIds as never],
  );
  return new Map(found.map(({ user_id, room_ids }) => [user_id, room_ids]));
}
