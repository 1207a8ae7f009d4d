/** What a user is called on any output: the name of their token as last seen, else a name made of the id. */
import { LRUCache } from 'lru-cache';
import type { Caller } from '../auth/caller.ts';
import type { Db } from '../platform/db.ts';
import type { Logger } from '../platform/logger.ts';
import { findNames, keepName } from './users.repo.ts';

export type Users = ReturnType<typeof createUsers>;

const nameless = (userId: string) => `User-${userId.slice(-4)}`;

export function createUsers({ db, log }: { db: Db; log: Logger }) {
  // Names that are known to be in the database, so that a caller seen again costs no query.
  const kept = new LRUCache<string, string>({ max: 50_000 });

  return {
    /** Notes the caller's name in the background; a failure costs nothing but another try at the next call. */
    remember({ id, name }: Caller): void {
      if (name === undefined || kept.get(id) === name) return;
      kept.set(id, name);
      keepName(db, id, name).catch((error: unknown) => {
        kept.delete(id);
        log.warn({ err: error, user_id: id }, 'a name was not kept');
      });
    },

    /** The caller's display name. */
    async nameOf({ id, name }: Caller): Promise<string> {
      if (name !== undefined) return name;
      const known = kept.get(id) ?? (await findNames(db, [id])).get(id);
      if (known !== undefined) kept.set(id, known);
      return known ?? nameless(id);
    },

    /** The display names of `userIds`, by id. */
    async namesOf(userIds: string[]): Promise<Map<string, string>> {
      const known = userIds.length > 0 ? await findNames(db, userIds) : new Map<string, string>();
      return new Map(userIds.map((id) => [id, known.get(id) ?? nameless(id)]));
    },
  };
}
