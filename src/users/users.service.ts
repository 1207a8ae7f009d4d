/** What a user is called on any output, and which roles they have: as their token last said. */
import { LRUCache } from 'lru-cache';
import type { Caller } from '../auth/caller.ts';
import type { Role } from '../contract/auth.ts';
import { createBatcher, gatherFor } from '../platform/batcher.ts';
import type { Db } from '../platform/db.ts';
import { isTemporary } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { findNames, findRoles, keepUsers } from './users.repo.ts';
import type { LastSeen } from './users.repo.ts';

export type Users = ReturnType<typeof createUsers>;

/**
 * How long a node goes by what it saw itself. Another may have seen a newer token: a nameless message carries a replaced
 * name for no longer than this, and a token that another node's replaced counts again when it comes here after it. It can
 * be short, since to ask again is a part of one statement for all, which writes nothing where nothing changed.
 */
const KEPT_MS = 5_000;
/** Who comes so soon after another shares the write: a commit for each would cost more than the rest of a connect. */
const GATHER_MS = 50;
/** Who has no name yet may get one on any node. */
const NAMELESS_MS = 1_000;

/** Where no token named the user. */
const nameless = (userId: string) => `User-${userId.slice(-4)}`;

const fingerprint = ({ name, roles }: LastSeen) => JSON.stringify([name ?? null, roles]);

export function createUsers({ db, log }: { db: Db; log: Logger }) {
  /** Names as last seen here, so that a nameless caller costs no query each time; old ones for want of a database. */
  const kept = new LRUCache<string, string>({ max: 50_000, ttl: KEPT_MS, noDeleteOnStaleGet: true });
  /** What was last written of a user, so that a caller seen again costs no query. */
  const seen = new LRUCache<string, string>({ max: 50_000, ttl: KEPT_MS });
  /** On the way into the database; one write at a time, so that what was seen last stays. */
  const unwritten = new Map<string, LastSeen>();
  const keepTogether = createBatcher(async (users: [string, LastSeen][]) => {
    await keepUsers(db, new Map(users));
    return [];
  }, gatherFor(GATHER_MS));
  const findTogether = createBatcher(async (asked: string[][]) => {
    const found = await findNames(db, [...new Set(asked.flat())]);
    return asked.map(() => found);
  });

  const namesOf = async (userIds: string[]): Promise<Map<string, string>> => {
    const known = userIds.length > 0 ? await findTogether('names', userIds) : new Map<string, string>();
    return new Map(userIds.map((id) => [id, unwritten.get(id)?.name ?? known.get(id) ?? nameless(id)]));
  };

  return {
    /** Notes the caller's name and roles in the background; a failure costs nothing but another try next time. */
    remember({ id, name, roles }: Caller): void {
      // A name on its way stays: this write takes the place of that one, in the batch and if that one fails.
      const now: LastSeen = { name: name ?? unwritten.get(id)?.name, roles };
      if (seen.get(id) === fingerprint(now)) return;
      seen.set(id, fingerprint(now));
      if (name !== undefined) kept.set(id, name);
      unwritten.set(id, now);
      keepTogether('users', [id, now])
        .catch((error: unknown) => {
          seen.delete(id);
          log.warn({ err: error, user_id: id }, 'a name was not kept');
        })
        .finally(() => {
          if (unwritten.get(id) === now) unwritten.delete(id);
        });
    },

    /** Keeps nothing of the user in memory; what is on its way into the database arrives. */
    forget(userId: string): void {
      kept.delete(userId);
      seen.delete(userId);
    },

    /** The roles that a user's token last had; none for a user never seen. */
    async rolesOf(userId: string): Promise<readonly Role[]> {
      return unwritten.get(userId)?.roles ?? (await findRoles(db, userId)) ?? [];
    },

    /** The caller's display name. */
    async nameOf({ id, name }: Caller): Promise<string> {
      if (name !== undefined) return name;
      const known = kept.get(id);
      if (known !== undefined) return known;
      const found = (await findNames(db, [id])).get(id);
      kept.set(id, found ?? nameless(id), { ttl: found === undefined ? NAMELESS_MS : KEPT_MS });
      return found ?? nameless(id);
    },

    /** The display names of `userIds`, by id. */
    namesOf,

    /** `people` with their display names; as this process knows them while the database is away. */
    async named<T extends { user_id: string }>(people: readonly T[]): Promise<(T & { username: string })[]> {
      const names = await namesOf(people.map(({ user_id }) => user_id)).catch((error: unknown) => {
        if (!isTemporary(error)) throw error;
        return new Map<string, string>();
      });
      return people.map((one) => {
        const { user_id: id } = one;
        return { ...one, username: names.get(id) ?? kept.peek(id, { allowStale: true }) ?? nameless(id) };
      });
    },
  };
}
