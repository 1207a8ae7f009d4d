/** What one user reported, did as a moderator, and what moderators did to them. */
import { change, rowsOf } from '../me/personal-data.ts';
import type { Forget } from '../me/personal-data.ts';

const START = { a: 0, b: 0 };

export const moderationSections = [
  rowsOf(
    'reports',
    START,
    `select n a, 0 b, id, room_id, message_id, reporter_id, reason, status, handled_at, created_at
     from city_reports where reporter_id = :user and (n, 0) > (:a, :b) order by n limit :limit`,
  ),
  rowsOf(
    'restrictions',
    { a: '', b: '' },
    `select room_id a, kind b, room_id, kind, until
     from city_room_restrictions where user_id = :user and (room_id, kind) > (:a, :b) order by room_id, kind limit :limit`,
  ),
  rowsOf(
    'moderated',
    START,
    `select n a, 0 b, id, action, room_id, user_id, message_id, reason, until, created_at
     from city_moderation_log where user_id = :user and (n, 0) > (:a, :b) order by n limit :limit`,
  ),
  rowsOf(
    'moderation',
    START,
    `select n a, 0 b, id, action, moderator_id, room_id, user_id, message_id, report_id, reason, until, request_id, created_at
     from city_moderation_log where moderator_id = :user and (n, 0) > (:a, :b) order by n limit :limit`,
  ),
];

/**
 * Puts the alias in the user's place and empties what they wrote; that something was reported or done stays. So does
 * a ban or a mute in force, with the id: an erasure is no way around it.
 */
export const forgetModeration: Forget = async ({ db }, { userId, alias }, size) => {
  const blank = (table: string, column: string, also = '') =>
    change(db, {
      table,
      act: `update ${table} set ${column} = :alias${also}`,
      where: `${column} = :userId`,
      userId,
      alias,
      size,
    });
  return (
    (await blank('city_reports', 'reporter_id', ", reason = ''")) +
    (await blank('city_reports', 'handled_by', ', note = null')) +
    (await blank('city_moderation_log', 'moderator_id', ', reason = null, request_id = null')) +
    (await blank('city_moderation_log', 'user_id')) +
    (await change(db, {
      table: 'city_room_restrictions',
      act: 'delete from city_room_restrictions',
      where: 'user_id = :userId and until <= now()',
      userId,
      size,
    }))
  );
};
