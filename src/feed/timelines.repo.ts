/**
 * Timelines: the events of a member's rooms, written out for each member (fan-out on write) and completed when read.
 *
 * Of each room a timeline holds a range: from the event at the place timeline_from, which belongs to the membership, to
 * the one of seq upto_seq, the watermark of the room. Both move in the transaction that writes the rows, so that one
 * statement always sees them agree. What lies outside of the range is read from the room's log itself: the tail above
 * the watermark, what is older than the membership's first row, and all of a room where it has none. Rows that an
 * earlier membership left behind lie below the timeline_from of the present one, and are ignored.
 *
 * The watermark is safe because seq is in commit order, and the event of a room's creation, which has seq 0, is
 * committed before anything can be sent to it (insertRoomCreated).
 */
import type { FeedEvent } from '../contract/feed.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';
import { areMessages, BESIDE_MESSAGES, FEED_EVENT } from './feed.repo.ts';
import type { FeedPage } from './feed.repo.ts';

/**
 * A page of the events of the rooms that `userId` is a member of, newest first; exact whatever the timelines hold.
 * A page of one kind reads the rooms alone, since a timeline does not know kinds.
 */
export function listMine(db: Db, userId: string, page: FeedPage): Promise<FeedEvent[]> {
  const { limit, offset, before = Number.MAX_SAFE_INTEGER, kind } = page;
  if (kind !== undefined && !areMessages(kind)) {
    return rows<FeedEvent>(
      db,
      `select ${FEED_EVENT} from ${BESIDE_MESSAGES} e
       where e.kind = :kind and e.n < :before and e.room_id in (
         select room_id from city_room_members join city_room_heads using (room_id) where user_id = :user)
       order by e.n desc limit :limit offset :offset`,
      { user: userId, before, kind, limit, offset },
    );
  }
  const ofKind = kind === undefined ? '' : 'and e.kind = :kind';
  // The newest events of room m between two places and above a seq. Its log is in the order of both, so that the seqs
  // at the places bound what is read of it: the lower one by the number of rows, since for a range of unknown seqs a
  // planner would read all of it. What has seq 0 was before any message, so that its place is looked at itself.
  const newestOf = (above: string, below: string, aboveSeq = '-1') => `
    cross join lateral (
      select city_seq_at(m.room_id, ${above} + 1, greatest(${aboveSeq}, 0), m.last_seq) above,
             city_seq_at(m.room_id, ${below}, greatest(${aboveSeq}, 0), m.last_seq) last
      where ${above} < ${below} and ${aboveSeq} < m.last_seq offset 0
    ) seqs
    cross join lateral (
      select n, seq from (
        select e.n, e.seq, e.removed_at from city_feed_events e
        where e.room_id = m.room_id and e.seq <= seqs.last ${ofKind}
        order by e.seq desc limit seqs.last - seqs.above + (seqs.above = 0)::integer
      ) some_events
      where removed_at is null order by seq desc limit :size
    ) e
    where e.n > ${above} and e.n < ${below} and e.seq > ${aboveSeq}`;
  // Below the oldest of a full page, and in front of the feed, there is nothing to find any more.
  const floor = (found: string) =>
    `select case when count(*) = :size then min(n) else (select n - 1 from city_feed_start) end n from ${found}`;
  // The conditions on timeline rows are subselects, not joins: a planner that may reorder them reads all of a timeline.
  return rows<FeedEvent>(
    db,
    `with mine as materialized (
       select m.room_id, ${kind === undefined ? 'm.timeline_from' : 'null::bigint'} timeline_from, k.upto_seq, h.last_seq
       from city_room_members m join city_room_heads h using (room_id) left join city_timeline_marks k using (room_id)
       where m.user_id = :user
     ), fanned as materialized (
       select t.event_n n from city_timelines t
       where t.user_id = :user and t.event_n < :before ${kind === undefined ? '' : 'and false'}
         and t.event_n >= (select m.timeline_from from city_room_members m
                           where m.room_id = t.room_id and m.user_id = t.user_id)
         and (select e.removed_at is null from city_feed_events e where e.n = t.event_n)
       order by t.event_n desc limit :size
     ), fanned_floor as materialized (
       ${floor('fanned')}
     ), tail as materialized (
       select e.n from mine m
       ${newestOf('(select n from fanned_floor)', ':before', 'm.upto_seq')}
       and m.timeline_from is not null
     ), recent as materialized (
       select n from (select n from fanned union all select n from tail) found order by n desc limit :size
     ), recent_floor as materialized (
       ${floor('recent')}
     ), older as (
       select e.n from mine m
       ${newestOf('(select n from recent_floor)', 'least(:before, m.timeline_from)')}
     ), page as (
       select n from (select n from recent union all select n from older) found
       order by n desc limit :limit offset :offset
     )
     select ${FEED_EVENT} from page join city_feed_events e using (n) order by n desc`,
    { user: userId, before, limit, offset, size: offset + limit, ...(kind === undefined ? {} : { kind }) },
  );
}

export interface FanOutBounds {
  /** Rooms with more members than this are left to the readers. */
  maxMembers: number;
  /** Events in one transaction. */
  maxEvents: number;
  /** Timeline rows in one transaction, which has to end well within the statement timeout. */
  maxRows: number;
}

/**
 * Writes the next events of a room to the timelines of its members, in one transaction. Returns whether there may be
 * more. Does nothing when the room is gone or too large, or when another worker has it.
 */
export function fanOutBatch(
  db: Db,
  roomId: string,
  { maxMembers, maxEvents, maxRows }: FanOutBounds,
): Promise<boolean> {
  return db.transaction(async (trx) => {
    // The lock that its foreign keys take anyway, before they would fail for a room that is purged.
    await trx.raw(
      `insert into city_timeline_marks (room_id) select id from city_rooms where id = ? for key share
       on conflict do nothing`,
      [roomId],
    );
    const [mark] = await rows<{ upto_seq: number }>(
      trx,
      'select upto_seq from city_timeline_marks where room_id = ? for update skip locked',
      [roomId],
    );
    if (!mark) return false;
    const [{ members } = { members: 0 }] = await rows<{ members: number }>(
      trx,
      'select count(*) members from (select from city_room_members where room_id = ? limit ?) some_members',
      [roomId, maxMembers + 1],
    );
    if (members > maxMembers) return false;

    const size = Math.max(1, Math.min(maxEvents, Math.floor(maxRows / Math.max(1, members))));
    // One statement, hence one snapshot: those who get rows are those whose range begins or goes on with them. A
    // membership that ends meanwhile leaves rows that nobody reads; one that begins meanwhile starts with the next.
    const [{ taken } = { taken: 0 }] = await rows<{ taken: number }>(
      trx,
      `with batch as materialized (
         select n, seq from city_feed_events
         where room_id = :room and seq > :upto and removed_at is null
         order by seq limit :size
       ), written as (
         insert into city_timelines (user_id, event_n, room_id)
         select m.user_id, b.n, m.room_id from city_room_members m cross join batch b where m.room_id = :room
         on conflict do nothing
       ), begun as (
         update city_room_members set timeline_from = (select min(n) from batch)
         where room_id = :room and timeline_from is null and exists (select from batch)
       ), moved as (
         update city_timeline_marks set upto_seq = (select max(seq) from batch)
         where room_id = :room and exists (select from batch)
       )
       select count(*) taken from batch`,
      { room: roomId, upto: mark.upto_seq, size },
    );
    return taken === size;
  });
}
