/** Names and roles of users, as their tokens last said. */
import type { Role } from '../contract/auth.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

export interface LastSeen {
  /** Undefined where the token has none: a name kept earlier stays. */
  name: string | undefined;
  roles: readonly Role[];
}

/**
 * Keeps what the users' tokens said; writes nothing for those of whom it is kept already. In the order of their ids, so
 * that two nodes that do it for the same users do not wait for each other.
 */
export async function keepUsers(db: Db, seen: Map<string, LastSeen>): Promise<void> {
  const given = [...seen].map(([id, { name, roles }]) => ({ id, name: name ?? null, roles }));
  await db.raw(
    `insert into city_users as u (id, name, roles)
     select n.id, n.name, n.roles from jsonb_to_recordset(?::jsonb) n(id text, name text, roles text[])
     where not exists (
       select from city_users k
       where k.id = n.id and k.name is not distinct from coalesce(n.name, k.name) and k.roles = n.roles)
     order by n.id
     on conflict (id)
     do update set name = coalesce(excluded.name, u.name), roles = excluded.roles, updated_at = now()`,
    [JSON.stringify(given)],
  );
}

/** The kept roles of a user; undefined for one never seen. */
export async function findRoles(db: Db, userId: string): Promise<Role[] | undefined> {
  const [found] = await rows<{ roles: Role[] }>(db, 'select roles from city_users where id = ?', [userId]);
  return found?.roles;
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
