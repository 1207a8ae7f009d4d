/** Names of users, as their tokens last said. */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/** Keeps `name` for a user; writes nothing when it is already kept. */
export async function keepName(db: Db, userId: string, name: string): Promise<void> {
  await db.raw(
    `insert into city_users as u (id, name)
     select :id, :name where not exists (select from city_users where id = :id and name = :name)
     on conflict (id) do update set name = excluded.name, updated_at = now()`,
    { id: userId, name },
  );
}

/** The kept names of `userIds`, by id; users without one are missing. */
export async function findNames(db: Db, userIds: string[]): Promise<Map<string, string>> {
  const found = await rows<{ id: string; name: string }>(
    db,
    'select id, name from city_users where id = any(?) and name is not null',
    [userIds as never],
  );
  return new Map(found.map(({ id, name }) => [id, name]));
}
