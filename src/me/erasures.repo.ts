/** Erasures in PostgreSQL: who asked, which worker is at it, and what stays of it. */
import { createHash } from 'node:crypto';
import type { Db } from '../platform/db.ts';
import { prepared, rows } from '../platform/db.ts';

/** What stays of a user: enough to know their earlier tokens. */
export const hashOf = (userId: string): string => createHash('sha256').update(userId).digest('hex');

/**
 * Begins the erasure of a user, or finds the one under way. Tokens tell time in whole seconds, so the line below which
 * they are void is drawn at the next one, by the database's clock.
 */
export async function beginErasure(db: Db, userId: string, alias: string): Promise<{ requested_at: string }> {
  const [begun] = await rows<{ requested_at: string }>(
    db,
    `insert into city_erasures as e (user_hash, user_id, alias, tokens_not_before)
     values (?, ?, ?, date_trunc('second', clock_timestamp()) + interval '1 second')
     on conflict (user_hash) where finished_at is null do update set touched_at = e.touched_at
     returning requested_at`,
    [hashOf(userId), userId, alias],
  );
  return begun!;
}

export interface StoredErasure {
  user_hash: string;
  /** Null once it is finished. */
  user_id: string | null;
  /** Tokens issued before it are void. */
  tokens_not_before: string;
  requested_at: string;
  touched_at: string;
}

/** Erasures that began or finished since `since`. Of use with a margin, since a commit is seen later than its time. */
export function erasuresSince(db: Db, since: string): Promise<StoredErasure[]> {
  return prepared<StoredErasure>(
    db,
    'city_erasures_since',
    `select user_hash, user_id, tokens_not_before, requested_at, touched_at
     from city_erasures where touched_at >= $1 order by touched_at, n`,
    [since],
  );
}

export interface Task {
  n: number;
  user_id: string;
  alias: string;
}

/** The erasures that are not finished, the oldest first. */
export async function listOpen(db: Db): Promise<number[]> {
  const found = await rows<{ n: number }>(
    db,
    'select n from city_erasures where finished_at is null order by n',
  );
  return found.map(({ n }) => n);
}

/** Takes an erasure for `leaseMs`; undefined when another worker is at it, or it is finished. */
export async function claimErasure(db: Db, n: number, leaseMs: number): Promise<Task | undefined> {
  const [task] = await rows<Task>(
    db,
    `update city_erasures set worked_until = clock_timestamp() + make_interval(secs => ?)
     where n = ? and finished_at is null and (worked_until is null or worked_until < clock_timestamp())
     returning n, user_id, alias`,
    [leaseMs / 1000, n],
  );
  return task;
}

/** Holds it for another `leaseMs`; whether it is older than `settledMs`. */
export async function holdErasure(db: Db, n: number, leaseMs: number, settledMs: number): Promise<boolean> {
  const [held] = await rows<{ settled: boolean }>(
    db,
    `update city_erasures set worked_until = clock_timestamp() + make_interval(secs => ?)
     where n = ? returning requested_at < clock_timestamp() - make_interval(secs => ?) settled`,
    [leaseMs / 1000, n, settledMs / 1000],
  );
  return held?.settled ?? false;
}

/** Gives it back, for another worker to take at once. */
export async function releaseErasure(db: Db, n: number): Promise<void> {
  await db.raw('update city_erasures set worked_until = null where n = ?', [n]);
}

/** Ends it: of the user only the hash is kept, in one row however often they came back. */
export async function finishErasure(db: Db, n: number): Promise<void> {
  await db.raw(
    `with finished as (
       update city_erasures set user_id = null, alias = null, worked_until = null,
              finished_at = clock_timestamp(), touched_at = clock_timestamp()
       where n = :n returning user_hash
     )
     delete from city_erasures e using finished f where e.user_hash = f.user_hash and e.n <> :n`,
    { n },
  );
}
