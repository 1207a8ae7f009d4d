/** Names of users, as their tokens last said. */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/**
 * Keeps the name of each user; writes nothing for those that are kept already. In the order of their ids, so that two
 * nodes that do it for the same users do not wait for each other.
 */
export async function keepNames(db: Db, names: Map<string, string>): Promise<void> {
  await db.raw(
    `insert into city_users as u (id, name)
     select n.id, n.name from unnest(:ids::text[], :names::text[]) n(id, name)
     where not exists (select from city_users k where k.id = n.id and k.name = n.name)
     order by n.id
     on conflict (id) do update set name = excluded.name, updated_at = now()`,
    { ids: [...names.keys()] as never, names: [...names.values()] as never },
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
