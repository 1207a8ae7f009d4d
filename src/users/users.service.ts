/** What a user is called on any output: the name of their token as last seen, else a name made of the id. */
import { LRUCache } from 'lru-cache';
import type { Caller } from '../auth/caller.ts';
import { createBatcher } from '../platform/batcher.ts';
import type { Db } from '../platform/db.ts';
import type { Logger } from '../platform/logger.ts';
import { findNames, keepNames } from './users.repo.ts';

export type Users = ReturnType<typeof createUsers>;

const KEPT_MS = 60_000;

const nameless = (userId: string) => `User-${userId.slice(-4)}`;

export function createUsers({ db, log }: { db: Db; log: Logger }) {
  // Names as last seen here, so that a caller seen again costs no query; for a while, since another node may see newer.
  const kept = new LRUCache<string, string>({ max: 50_000, ttl: KEPT_MS });
  /** Names on their way into the database; one write at a time, so that the last one seen stays. */
  const unwritten = new Map<string, string>();
  const keepTogether = createBatcher(async (seen: [string, string][]) => {
    await keepNames(db, new Map(seen));
    return [];
  });
  const findTogether = createBatcher(async (asked: string[][]) => {
    const found = await findNames(db, [...new Set(asked.flat())]);
    return asked.map(() => found);
  });

  return {
    /** Notes the caller's name in the background; a failure costs nothing but another try at the next call. */
    remember({ id, name }: Caller): void {
      if (name === undefined || kept.get(id) === name) return;
      kept.set(id, name);
      unwritten.set(id, name);
      keepTogether('names', [id, name])
        .catch((error: unknown) => {
          kept.delete(id);
          log.warn({ err: error, user_id: id }, 'a name was not kept');
        })
        .finally(() => {
          if (unwritten.get(id) === name) unwritten.delete(id);
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
      const known = userIds.length > 0 ? await findTogether('names', userIds) : new Map<string, string>();
      return new Map(userIds.map((id) => [id, unwritten.get(id) ?? known.get(id) ?? nameless(id)]));
    },
  };
}
