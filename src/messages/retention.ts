/**
 * Empties messages that are older than the city keeps them: tombstones in place, so that `seq` stays gap-free and a
 * repeated client_id makes no second message.
 *
 * They take no change numbers and nobody is told: a year's worth of deletions would be a storm, and who holds a copy
 * that old and resumes from before it is told of later changes only. They are found by a mark in each room, since
 * within a room times rise with `seq`.
 */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/** The rooms that have messages older than `days`. */
export async function findDueRooms(db: Db, days: number): Promise<string[]> {
  const found = await rows<{ room_id: string }>(
    db,
    `select h.room_id from city_room_heads h left join city_retention r using (room_id)
     where h.last_seq > coalesce(r.upto_seq, 0)
       and (select m.created_at from city_room_messages m
            where m.room_id = h.room_id and m.seq > coalesce(r.upto_seq, 0) order by m.seq limit 1)
           < now() - make_interval(days => ?)`,
    [days],
  );
  return found.map(({ room_id }) => room_id);
}

/** Empties up to `size` messages of a room that are older than `days`; false when there are no more. */
export function emptyOldMessages(db: Db, roomId: string, days: number, size: number): Promise<boolean> {
  return db.transaction(async (trx) => {
    // As for any change of the log: an edit under way must not bring a text back.
    const head = await rows(trx, 'select from city_room_heads where room_id = ? for update', [roomId]);
    if (head.length === 0) return false; // the room has ended, and its purge takes them
    const [done] = await rows<{ n: number }>(
      trx,
      `with due as materialized (
         select id, seq from city_room_messages
         where room_id = :roomId and seq > coalesce((select upto_seq from city_retention where room_id = :roomId), 0)
           and created_at < now() - make_interval(days => :days)
         order by seq limit :size
       ), emptied as (
         update city_room_messages m set body = '', sent_hash = null, deleted_at = coalesce(m.deleted_at, now())
         from due d where m.id = d.id
       ), marked as (
         insert into city_retention as r (room_id, upto_seq)
         select :roomId, max(seq) from due having count(*) > 0
         on conflict (room_id) do update set upto_seq = greatest(r.upto_seq, excluded.upto_seq)
       )
       select count(*) n from due`,
      { roomId, days, size },
    );
    return done!.n === size;
  });
}
