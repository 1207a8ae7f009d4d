/** What a feature says about the personal data that it keeps: how to read all of it, and how to erase it. */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';
import type { RedisLinks } from '../platform/redis.ts';

export interface Stores {
  db: Db;
  redis: RedisLinks;
}

/** Who is erased, and the name that stays on what cannot go. */
export interface Erased {
  userId: string;
  /** Of the form of a user's id; no other erasure has it. */
  alias: string;
  aliasName: string;
}

/** A list of the export, read in pages. */
export interface Section {
  name: string;
  pages(stores: Stores, userId: string): AsyncIterable<readonly object[]>;
}

/**
 * Erases up to about `size` rows, each time others; how many there were. 0 when nothing is left. Idempotent, and
 * harmless when several workers are at it.
 */
export type Forget = (stores: Stores, erased: Erased, size: number) => Promise<number>;

const PAGE = 500;

/**
 * The rows of `sql` by keyset: it selects what belongs to `:user` behind the place `(:a, :b)`, with its own place as
 * `a` and `b`, in that order, at most `:limit`. `from` lies before the first. A row that is `missing` is only a place.
 */
export function rowsOf(name: string, from: { a: string | number; b: string | number }, sql: string): Section {
  return {
    name,
    async *pages({ db }, user) {
      let place = from;
      for (;;) {
        const page = await rows<typeof from & { missing?: boolean }>(db, sql, {
          user,
          ...place,
          limit: PAGE,
        });
        yield page
          .filter(({ missing }) => !missing)
          .map(({ a: _a, b: _b, missing: _missing, ...row }) => row);
        if (page.length < PAGE) return;
        const { a, b } = page.at(-1)!;
        place = { a, b };
      }
    },
  };
}

/** Runs `sql`, which removes or changes rows of `table` found by `where`, for at most `size` of them; how many. */
export async function change(
  db: Db,
  {
    table,
    act,
    where,
    size,
    ...bindings
  }: { table: string; act: string; where: string; size: number } & Record<string, string | number>,
): Promise<number> {
  const [done] = await rows<{ n: number }>(
    db,
    `with done as (
       ${act} where ctid = any(array(select ctid from ${table} where ${where} limit :size for update skip locked)) returning 1
     ) select count(*) n from done`,
    { size, ...bindings },
  );
  return done!.n;
}
