/** One user's rooms: those they made, are a member of, and have read in. */
import { change, rowsOf } from '../me/personal-data.ts';
import type { Forget } from '../me/personal-data.ts';
import { rows } from '../platform/db.ts';
import { endRoom, lockHead, purgeBatch } from './care.repo.ts';

/** Rows of a room that nobody is in any more: they hold up nobody. */
const PURGED_AT_ONCE = 2_000;

export const roomSections = [
  rowsOf(
    'rooms_created',
    { a: '', b: 0 },
    `select id a, 0 b, id, name, description, created_at
     from city_rooms where created_by = :user and (id, 0) > (:a, :b) order by id limit :limit`,
  ),
  rowsOf(
    'memberships',
    { a: '', b: 0 },
    `select room_id a, 0 b, room_id, joined_at
     from city_room_members where user_id = :user and (room_id, 0) > (:a, :b) order by room_id limit :limit`,
  ),
  rowsOf(
    'read_marks',
    { a: '', b: 0 },
    `select room_id a, 0 b, room_id, last_read_seq
     from city_read_marks where user_id = :user and (room_id, 0) > (:a, :b) order by room_id limit :limit`,
  ),
];

/** Whoever sent in a room has a read mark in it, which is how their rows in city_slow_sends are found. */
export const forgetMemberships: Forget = async ({ db }, { userId }, size) => {
  const gone = (table: string, where: string) =>
    change(db, { table, act: `delete from ${table}`, where, userId, size });
  const theirs = 'user_id = :userId';
  const sends = await gone(
    'city_slow_sends',
    `${theirs} and room_id in (select room_id from city_read_marks where ${theirs})`,
  );
  if (sends > 0) return sends;
  return (await gone('city_room_members', theirs)) + (await gone('city_read_marks', theirs));
};

/**
 * A room that nobody else is a member of or wrote in goes with its maker; any other stays as it is, with the alias as
 * the one who made it. The messages have to be forgotten before.
 */
export const forgetRooms: Forget = async ({ db }, { userId, alias, aliasName }) => {
  const [room] = await rows<{ id: string; ended: boolean }>(
    db,
    `select r.id, h.room_id is null ended from city_rooms r left join city_room_heads h on h.room_id = r.id
     where r.created_by = ? order by r.id limit 1`,
    [userId],
  );
  if (!room) return 0;
  if (room.ended) {
    await purgeBatch(db, room.id, PURGED_AT_ONCE);
    return 1;
  }
  await db.transaction(async (trx) => {
    // In the order of migration 0005; nobody joins or writes until the end of this.
    if (!(await lockHead(trx, room.id))) return;
    const [{ deserted } = { deserted: false }] = await rows<{ deserted: boolean }>(
      trx,
      `select not is_default
          and not exists (select from city_room_members m where m.room_id = r.id and m.user_id <> :userId)
          and not exists (select from city_room_messages m
                          where m.room_id = r.id and m.sender_id not in (:userId, :alias)) deserted
       from city_rooms r where id = :roomId for update`,
      { roomId: room.id, userId, alias },
    );
    if (deserted) {
      await endRoom(trx, room.id);
      return;
    }
    await trx.raw('update city_rooms set created_by = ? where id = ?', [alias, room.id]);
    await trx.raw(
      `update city_events set user_id = :alias, payload = payload || jsonb_build_object('username', :aliasName::text)
       where room_id = :roomId and kind = 'room_created' and user_id = :userId`,
      { roomId: room.id, userId, alias, aliasName },
    );
  });
  return 1;
};
