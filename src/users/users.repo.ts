/** Names and roles of users, as their tokens last said. */
import type { Role } from '../contract/auth.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

export interface LastSeen {
  /** Undefined where the token has none: a name kept earlier stays. */
  name: string | undefined;
  roles: readonly Role[];
}

/** Keeps what a user's token said; writes nothing when it is already kept. */
export async function keepUser(db: Db, userId: string, { name, roles }: LastSeen): Promise<void> {
  await db.raw(
    `insert into city_users as u (id, name, roles)
     select :id, :name::text, :roles where not exists (
       select from city_users where id = :id and name is not distinct from coalesce(:name, name) and roles = :roles)
     on conflict (id)
     do update set name = coalesce(excluded.name, u.name), roles = excluded.roles, updated_at = now()`,
    { id: userId, name: name ?? null, roles: roles as never },
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
