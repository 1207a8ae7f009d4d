/** What is kept about a user as such: the name and roles that their last token said. */
import { change, rowsOf } from '../me/personal-data.ts';
import type { Forget } from '../me/personal-data.ts';

export const profileSections = [
  rowsOf(
    'profile',
    { a: '', b: 0 },
    `select id a, 0 b, name, roles, created_at, updated_at, tokens_not_before
     from city_users where id = :user and (id, 0) > (:a, :b) limit :limit`,
  ),
];

export const forgetProfile: Forget = ({ db }, { userId }, size) =>
  change(db, { table: 'city_users', act: 'delete from city_users', where: 'id = :userId', userId, size });
