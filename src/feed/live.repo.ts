/**
 * What live subscribers must hear of, from the feed's rows: each change once, in order, with no gap.
 *
 * A row carries the transaction of its insertion or removal. Transactions below the oldest running one (xmin) have all
 * ended, so that nothing can appear any more among their rows: what is read from there, in the order (tx, n), is
 * complete. A commit whose transaction is not yet below xmin waits until it is.
 */
import type { FeedEvent } from '../contract/feed.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';
import { FEED_EVENT } from './feed.repo.ts';

/** The last change read: its transaction (xid8, hence text) and number. */
export interface FeedCursor {
  tx: string;
  n: number;
  /** What was committed when the cursor was made (a pg_snapshot): older news, though not yet below xmin. */
  before: string;
}

export interface FeedChange {
  event: FeedEvent;
  removed: boolean;
}

export interface FeedChanges {
  changes: FeedChange[];
  /** Where to go on from. */
  next: FeedCursor;
  /** Whether there is more: past the bounds of this read, or committed and waiting for an older transaction. */
  more: boolean;
}

/** The oldest transaction that runs, in the eyes of the statement. */
const XMIN = 'pg_snapshot_xmin(pg_current_snapshot())';

/** A cursor in front of everything that is not committed yet. */
export async function currentCursor(db: Db): Promise<FeedCursor> {
  const [now] = await rows<{ tx: string; before: string }>(
    db,
    `select ${XMIN}::text tx, pg_current_snapshot()::text before`,
  );
  return { ...now!, n: 0 };
}

type ChangeRow = {
  xmin: string;
  waiting: boolean;
  tx: string | null;
  n: number;
  bytes: number;
  removed: boolean;
};

/** The changes after `cursor`, oldest first: at most `maxRows`, and no more after `maxBytes` of payload. */
export async function readFeedChanges(
  db: Db,
  cursor: FeedCursor,
  { maxRows, maxBytes }: { maxRows: number; maxBytes: number },
): Promise<FeedChanges> {
  const found = await rows<ChangeRow & FeedEvent>(
    db,
    // Spelled out twice, the same in both places: as a function of the statement its value is known to the planner.
    `select now.xmin::text, exists (select from city_feed_events e where e.tx >= ${XMIN}) waiting,
            e.tx::text, e.n, octet_length(e.payload::text) bytes, e.removed_at is not null removed, ${FEED_EVENT}
     from (select ${XMIN} xmin) now left join lateral (
       select * from city_feed_events e
       where (e.tx, e.n) > (:tx::xid8, :n) and e.tx < ${XMIN}
         and not pg_visible_in_snapshot(e.tx, :before::pg_snapshot)
       order by e.tx, e.n limit :maxRows
     ) e on true
     order by e.tx, e.n`,
    { ...cursor, maxRows },
  );
  const { xmin, waiting } = found[0]!;
  // A database that was restored or failed over may count transactions from further back.
  if (BigInt(xmin) < BigInt(cursor.tx)) return { changes: [], next: await currentCursor(db), more: true };

  const changes: FeedChange[] = [];
  let next = cursor;
  let bytes = 0;
  for (const { xmin: _xmin, waiting: _waiting, tx, n, bytes: size, removed, ...event } of found) {
    if (tx === null || (bytes > 0 && bytes + size > maxBytes)) break;
    changes.push({ event, removed });
    next = { ...cursor, tx, n };
    bytes += size;
  }
  const complete = changes.length < maxRows && (found[0]!.tx === null || changes.length === found.length);
  return complete
    ? { changes, next: { ...cursor, tx: xmin, n: 0 }, more: waiting }
    : { changes, next, more: true };
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
