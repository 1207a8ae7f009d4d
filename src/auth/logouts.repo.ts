/** When users logged out everywhere: the row that says which of their tokens are void. */
import type { Db } from '../platform/db.ts';
import { prepared, rows } from '../platform/db.ts';

interface Logout {
  user_id: string;
  /** Tokens issued before it are void. */
  tokens_not_before: string;
}

/**
 * Makes every token void that was issued to the user up to now. Tokens tell time in whole seconds, so the line is
 * drawn at the next one; `wait_ms` until then. By the database's clock, which all nodes share.
 */
export async function logOut(db: Db, userId: string): Promise<Logout & { wait_ms: number }> {
  const [logout] = await rows<Logout & { wait_ms: number }>(
    db,
    `with line as (select date_trunc('second', clock_timestamp()) + interval '1 second' as at)
     insert into city_users as u (id, tokens_not_before) select ?, at from line
     on conflict (id) do update set tokens_not_before = greatest(u.tokens_not_before, excluded.tokens_not_before)
     returning id as user_id, tokens_not_before,
       ceil(extract(epoch from tokens_not_before - clock_timestamp()) * 1000)::int as wait_ms`,
    [userId],
  );
  return logout!;
}

/** The logouts since `since`, the latest last. Of use with a margin, since a commit is seen later than its time. */
export function logoutsSince(db: Db, since: string): Promise<Logout[]> {
  return prepared<Logout>(
    db,
    'city_logouts_since',
    `select id as user_id, tokens_not_before from city_users where tokens_not_before >= $1
     order by tokens_not_before`,
    [since],
  );
}
