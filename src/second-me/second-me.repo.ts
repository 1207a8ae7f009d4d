/**
 * Second Me in PostgreSQL, as its user sees it: the conversation and the invocations.
 *
 * Invariants: whatever changes the state of a user's invocations or conversation does so under `lockUser`, so that
 * it happens one at a time for each user; the session of a user is the conversation since the last clear.
 */
import type { ChatMessage, Invocation, InvocationStatus } from '../contract/second-me.ts';
import { AppError } from '../platform/errors.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/** Per user: two may run, ten may wait. */
export const RUNNING_MAX = 2;
const ACTIVE_MAX = 12;

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

interface NewInvocation {
  id: string;
  messageId: string;
  /** The id of the session, if the user has none yet. */
  sessionId: string;
  userId: string;
  key: string | undefined;
  prompt: string;
}

/**
 * Stores a prompt and its invocation, or finds the one that this key was first used for.
 * @throws AppError idempotency_mismatch when that had another prompt; rate_limited when the user has 12 unfinished
 */
export function createInvocation(db: Db, given: NewInvocation): Promise<InvocationRow> {
  const { id, messageId, sessionId, userId, prompt } = given;
  const key = given.key ?? null;
  return db.transaction(async (trx) => {
    await lockUser(trx, userId);
    const [known] = await rows<InvocationRow>(
      trx,
      `select ${COLUMNS} from secondme_invocations where user_id = ? and idempotency_key = ?`,
      [userId, key as string],
    );
    if (known) {
      if (known.prompt === prompt) return known;
      throw new AppError('idempotency_mismatch', 'This key was first used with another prompt.');
    }
    const [load] = await rows<{ active: number }>(
      trx,
      `select count(*) active from secondme_invocations where user_id = ? and status in ('queued', 'running')`,
      [userId],
    );
    if (load!.active >= ACTIVE_MAX) {
      const message = 'At most 2 of your invocations may run and 10 wait; try again when one is done.';
      throw new AppError('rate_limited', message, { retryAfterMs: 2_000 });
    }
    await trx.raw(
      `insert into secondme_sessions (id, user_id) values (?, ?) on conflict (user_id) do nothing`,
      [sessionId, userId],
    );
    const created = await rows<InvocationRow>(
      trx,
      `insert into secondme_invocations (id, user_id, session_id, idempotency_key, prompt, status)
       select ?, s.user_id, s.id, ?::text, ?, 'queued' from secondme_sessions s where s.user_id = ?
       returning ${COLUMNS}`,
      [id, key as string, prompt, userId],
    );
    await trx.raw(
      `insert into secondme_messages (id, session_id, user_id, role, content, invocation_id)
       select ?, session_id, user_id, 'user', prompt, id from secondme_invocations where id = ?`,
      [messageId, id],
    );
    return created[0]!;
  });
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
