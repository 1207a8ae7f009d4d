/** Changing and deleting rooms in PostgreSQL. */
import type { UpdateRoom } from '../contract/rooms.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/** Messages looked through for who wrote lately, when slow mode begins. */
const RECENT_MAX = 10_000;

/** Changes what is given of a room that exists and is locked (its head first: migration 0005). */
export async function changeRoom(trx: Db, roomId: string, change: UpdateRoom): Promise<void> {
  const { name, description, slow_mode_s } = change;
  if (slow_mode_s) {
    // Of a room without slow mode nobody noted who sent when.
    await trx.raw(
      `insert into city_slow_sends as s (room_id, user_id, sent_at)
       select room_id, sender_id, max(created_at) from (
         select room_id, sender_id, created_at from city_room_messages
         where room_id = :roomId order by seq desc limit :recent
       ) recent group by 1, 2
       on conflict (room_id, user_id) do update set sent_at = greatest(s.sent_at, excluded.sent_at)`,
      { roomId, recent: RECENT_MAX },
    );
  }
  await trx('city_rooms')
    .where({ id: roomId })
    .update({
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description }),
      ...(slow_mode_s === undefined ? {} : { slow_mode_s }),
    });
}

/** Locks a room's head; false when there is no such room. */
export async function lockHead(trx: Db, roomId: string): Promise<boolean> {
  const found = await rows(trx, 'select from city_room_heads where room_id = ? for update', [roomId]);
  return found.length > 0;
}

/** Ends a room's existence, and with it every membership; false when there is no such room. */
export async function endRoom(trx: Db, roomId: string): Promise<boolean> {
  const ended = await rows(
    trx,
    `with head as (delete from city_room_heads where room_id = :roomId returning room_id, last_change_seq)
     insert into city_deleted_rooms as d (room_id, last_change_seq) select * from head
     on conflict (room_id) do update
       set last_change_seq = excluded.last_change_seq, deleted_at = excluded.deleted_at
     returning room_id`,
    { roomId },
  );
  return ended.length > 0;
}

/** Rooms that are ended and not purged yet. */
export async function listEnded(db: Db): Promise<string[]> {
  const found = await rows<{ id: string }>(
    db,
    `select r.id from city_rooms r left join city_room_heads h on h.room_id = r.id
     where h.room_id is null limit 1000`,
  );
  return found.map(({ id }) => id);
}

/**
 * Removes up to `size` of each of what an ended room has left, and at last the room. Any number of
 * nodes may be at it. Returns whether there may be more.
 */
export async function purgeBatch(db: Db, roomId: string, size: number): Promise<boolean> {
  const count = async (sql: string, also = '') => {
    const [{ n } = { n: 0 }] = await rows<{ n: number }>(
      db,
      `with done as (${sql} returning *) ${also} select count(*) n from done`,
      { roomId, size },
    );
    return n;
  };
  const some = (table: string) => `
    ctid = any(array(select ctid from ${table} where room_id = :roomId
      and not exists (select from city_room_heads where room_id = :roomId)   -- a new room of that id is not ours
      limit :size for update skip locked))`;
  // Live subscribers hear of what the feed loses.
  let gone = await count(
    `delete from city_room_messages where ${some('city_room_messages')}`,
    `, told as (
       insert into city_feed_removals (event_id, event_n, room_id)
       select city_event_id(id), feed_n, room_id from done where deleted_at is null order by feed_n)`,
  );
  gone += await count(
    `delete from city_events where ${some('city_events')}`,
    `, told as (insert into city_feed_removals (event_id, event_n, room_id) select id, n, room_id from done)`,
  );
  for (const table of ['city_timelines', 'city_room_members', 'city_read_marks']) {
    gone += await count(`delete from ${table} where ${some(table)}`);
  }
  if (gone > 0) return true;
  // What somebody had locked is still there, and would be found no more: the room stays for another pass.
  await db.raw(
    `delete from city_rooms r where r.id = ?
       and not exists (select from city_room_heads h where h.room_id = r.id)
       and not exists (select from city_room_messages m where m.room_id = r.id)
       and not exists (select from city_events e where e.room_id = r.id)`,
    [roomId],
  );
  return false;
}
