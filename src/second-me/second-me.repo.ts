/**
 * Second Me in PostgreSQL, as its user sees it: the conversation and the invocations.
 *
 * Invariants: whatever changes the state of a user's invocations or conversation does so under `lockUser`, so that
 * it happens one at a time for each user; the session of a user is the conversation since the last clear.
 */
import type { ChatMessage, Invocation, InvocationStatus } from '../contract/second-me.ts';
import { AppError } from '../platform/errors.ts';
import type { Db } from '../platform/db.ts';
import { prepared, rows } from '../platform/db.ts';
import { createShared } from './shared.ts';

/** Per user: two may run, ten may wait. */
export const RUNNING_MAX = 2;
const ACTIVE_MAX = 12;
/** Unfinished in the whole city. Prompts that are stored at the same moment do not see each other: a few over may get in. */
const CITY_ACTIVE_MAX = 5_000;

export interface InvocationRow extends Omit<Invocation, 'invocation_id'> {
  id: string;
  user_id: string;
  prompt: string;
  status: InvocationStatus;
}

const COLUMNS = 'id, user_id, prompt, status, reply, tokens_used, latency_ms, fallback, created_at';

/** Waits until no other transaction changes this user's Second Me; held to the end of `trx`. */
export async function lockUser(trx: Db, userId: string): Promise<void> {
  await trx.raw(`select pg_advisory_xact_lock(hashtextextended('secondme ' || ?::text, 0))`, [userId]);
}

export interface NewInvocation {
  id: string;
  messageId: string;
  /** The id of the session, if the user has none yet. */
  sessionId: string;
  userId: string;
  key: string | undefined;
  prompt: string;
}

type Creation = { outcome: 'created' | 'known' | 'own_max' | 'city_max' | 'busy' } & InvocationRow;

/** Migration 0009; without `patient`, `busy` where another transaction has the user's lock. */
const createAll = (db: Db, given: NewInvocation[], patient: boolean) =>
  prepared<Creation>(
    db,
    'secondme_create',
    `select c.outcome, ${COLUMNS.replace(/\w+/g, '(c.invocation).$&')}
     from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
       with ordinality g(id, message_id, session_id, user_id, key, prompt, ord)
     cross join lateral secondme_create(id, message_id, session_id, user_id, key, prompt, $7, $8, $9) c
     order by g.ord`,
    [
      given.map(({ id }) => id),
      given.map(({ messageId }) => messageId),
      given.map(({ sessionId }) => sessionId),
      given.map(({ userId }) => userId),
      given.map(({ key }) => key ?? null),
      given.map(({ prompt }) => prompt),
      ACTIVE_MAX,
      CITY_ACTIVE_MAX,
      patient,
    ],
  );

function invocationOf({ prompt }: NewInvocation, { outcome, ...row }: Creation): InvocationRow {
  if (outcome === 'own_max') {
    const message = 'At most 2 of your invocations may run and 10 wait; try again when one is done.';
    throw new AppError('rate_limited', message, { retryAfterMs: 2_000 });
  }
  if (outcome === 'city_max') {
    const message = 'Very many citizens are asking right now; try again shortly.';
    throw new AppError('rate_limited', message, { retryAfterMs: 5_000 });
  }
  if (row.prompt === prompt) return row;
  throw new AppError('idempotency_mismatch', 'This key was first used with another prompt.');
}

/**
 * Stores a prompt and its invocation, or finds the one that this key was first used for.
 * @throws AppError idempotency_mismatch when that had another prompt; rate_limited when the user has 12 unfinished or
 * the city 5,000
 */
export async function createInvocation(db: Db, given: NewInvocation): Promise<InvocationRow> {
  const [creation] = await createAll(db, [given], true);
  return invocationOf(given, creation!);
}

/** createInvocation for many who ask at once. */
export function createCreation(db: Db): (given: NewInvocation) => Promise<InvocationRow> {
  const create = createShared((given: NewInvocation[], patient) => createAll(db, given, patient));
  return async (given) => invocationOf(given, await create(given));
}

/** An invocation; with `userId`, only if it is that user's. */
export async function findInvocation(
  db: Db,
  id: string,
  userId?: string,
): Promise<InvocationRow | undefined> {
  const mine = userId === undefined ? '' : 'and user_id = :userId';
  const sql = `select ${COLUMNS} from secondme_invocations where id = :id ${mine}`;
  return (await rows<InvocationRow>(db, sql, { id, userId } as never))[0];
}

/** Which of `ids` have finished. */
export async function findFinished(db: Db, ids: string[]): Promise<string[]> {
  const found = await rows<{ id: string }>(
    db,
    'select id from secondme_invocations where id = any(?) and finished_at is not null',
    [ids as never],
  );
  return found.map(({ id }) => id);
}

/** How those of `ids` ended that have finished. */
export function findEnds(
  db: Db,
  ids: string[],
): Promise<({ user_id: string } & Omit<Invocation, 'created_at'>)[]> {
  return rows(
    db,
    `select user_id, id invocation_id, status, reply, tokens_used, latency_ms, fallback
     from secondme_invocations where id = any(?) and finished_at is not null`,
    [ids as never],
  );
}

/** The time by the clock of the database. */
export async function readTime(db: Db): Promise<string> {
  const [row] = await rows<{ now: string }>(db, 'select now()::text now');
  return row!.now;
}

/**
 * Every invocation that has not finished, and of the finished those whose id is greater than `id`, unless they finished
 * before `begin`, a time of the database.
 */
export function findOpenOrNewer(
  db: Db,
  id: string,
  begin: string,
): Promise<{ id: string; finished: boolean }[]> {
  return rows(
    db,
    `select id, false finished from secondme_invocations where status in ('queued', 'running')
     union all
     select id, true from secondme_invocations where id > ? and finished_at >= ?`,
    [id, begin],
  );
}

/** Cancels what has not finished; `cancelled` tells whether this call did it. Undefined when it is not the user's. */
export function cancelInvocation(
  db: Db,
  id: string,
  userId: string,
): Promise<{ row: InvocationRow; cancelled: boolean } | undefined> {
  return db.transaction(async (trx) => {
    await lockUser(trx, userId);
    const [row] = await rows<InvocationRow>(
      trx,
      `update secondme_invocations set status = 'cancelled', lease_until = null, finished_at = now()
       where id = ? and user_id = ? and status in ('queued', 'running') returning ${COLUMNS}`,
      [id, userId],
    );
    if (row) return { row, cancelled: true };
    const other = await findInvocation(trx, id, userId);
    return other && { row: other, cancelled: false };
  });
}

/** The last `limit` messages since the last clear, oldest first. */
export function readHistory(db: Db, userId: string, limit: number): Promise<ChatMessage[]> {
  return rows<ChatMessage>(
    db,
    `select role, content, created_at from (
       select m.n, m.role, m.content, m.created_at
       from secondme_messages m join secondme_sessions s on s.id = m.session_id
       where s.user_id = ? order by m.n desc limit ?
     ) last order by n`,
    [userId, limit],
  );
}

/** How many invocations have succeeded since the last clear, and when the last of them did. */
export async function readTotals(
  db: Db,
  userId: string,
): Promise<{ total_interactions: number; last_interaction: string | null }> {
  const [totals] = await rows<{ total_interactions: number; last_interaction: string | null }>(
    db,
    `select count(*) total_interactions, max(i.finished_at) last_interaction
     from secondme_invocations i join secondme_sessions s on s.id = i.session_id
     where s.user_id = ? and i.finished_at is not null and i.status = 'succeeded'`,
    [userId],
  );
  return totals!;
}

/** Ends the session and forgets its messages; the number of them. */
export function clearHistory(db: Db, userId: string): Promise<number> {
  return db.transaction(async (trx) => {
    await lockUser(trx, userId);
    const [messages] = await rows<{ deleted: number }>(
      trx,
      `with gone as (
         delete from secondme_messages where session_id in (select id from secondme_sessions where user_id = ?)
         returning 1
       ) select count(*) deleted from gone`,
      [userId],
    );
    await trx.raw('delete from secondme_sessions where user_id = ?', [userId]);
    return messages!.deleted;
  });
}
