/** The messages of one user, in every room. */
import { rowsOf } from '../me/personal-data.ts';
import type { Forget } from '../me/personal-data.ts';
import { rows } from '../platform/db.ts';

export const messageSections = [
  rowsOf(
    'messages',
    { a: '', b: 0 },
    `select room_id a, seq b, id, room_id, seq, change_seq, author_user_id, author_agent_id, username, body, client_id,
            created_at, edited_at, deleted_at
     from city_room_messages where sender_id = :user and (room_id, seq) > (:a, :b)
     order by room_id, seq limit :limit`,
  ),
];

/** Makes tombstones under the alias, a batch of one room each time; their feed events go with them (migration 0010). */
export const forgetMessages: Forget = async ({ db }, { userId, alias, aliasName }, size) => {
  const [found] = await rows<{ room_id: string; seq: number }>(
    db,
    'select room_id, seq from city_room_messages where sender_id = ? order by room_id, seq limit 1',
    [userId],
  );
  if (!found) return 0;
  const [done] = await rows<{ n: number }>(db, 'select city_erase_messages(?, ?, ?, ?, ?, ?) n', [
    found.room_id,
    found.seq,
    userId,
    alias,
    aliasName,
    size,
  ]);
  return done!.n;
};
