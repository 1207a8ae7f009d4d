/**
 * Second Me in PostgreSQL, as the workers see it: claiming, holding, finishing and finding work.
 *
 * A claim takes the next attempt number, which is its fence: nothing is stored for an attempt that is not the last.
 */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';
import { lockUser, RUNNING_MAX } from './second-me.repo.ts';

const CONTEXT_MESSAGES = 10;

export interface Claim {
  id: string;
  user_id: string;
  prompt: string;
  /** The fence. */
  attempt: number;
}

export interface ContextMessage {
  role: string;
  content: string;
}

/** How an invocation ended. */
export interface Outcome {
  status: 'succeeded' | 'failed';
  reply: string | null;
  tokens_used: number | null;
  latency_ms: number;
  fallback: boolean;
  /** For the operators. */
  error: string | null;
}

/**
 * Takes an invocation that is queued, or whose worker has let its lease run out, for `leaseMs`.
 * Undefined when there is nothing to do: it has finished, somebody else has it, or the user has two running.
 */
export function claimInvocation(
  db: Db,
  id: string,
  leaseMs: number,
): Promise<{ claim: Claim; context: ContextMessage[] } | undefined> {
  return db.transaction(async (trx) => {
    const [owner] = await rows<{ user_id: string }>(
      trx,
      'select user_id from secondme_invocations where id = ?',
      [id],
    );
    if (!owner) return undefined;
    await lockUser(trx, owner.user_id);
    const [claim] = await rows<Claim & { session_id: string | null }>(
      trx,
      `update secondme_invocations i set status = 'running', attempt = attempt + 1,
         lease_until = clock_timestamp() + make_interval(secs => ?)
       where id = ? and (
         status = 'running' and lease_until < clock_timestamp() or
         status = 'queued' and ? > (
           select count(*) from secondme_invocations o where o.user_id = i.user_id and o.status = 'running'
         )
       ) returning id, user_id, session_id, prompt, attempt`,
      [leaseMs / 1000, id, RUNNING_MAX],
    );
    if (!claim) return undefined;
    const { session_id, ...taken } = claim;
    return { claim: taken, context: await readContext(trx, session_id, id) };
  });
}

/** The last messages before the prompt, oldest first. */
function readContext(db: Db, sessionId: string | null, id: string): Promise<ContextMessage[]> {
  return rows<ContextMessage>(
    db,
    `select role, content from (
       select n, role, content from secondme_messages
       where session_id = ? and n < (select n from secondme_messages where invocation_id = ? and role = 'user')
       order by n desc limit ?
     ) last order by n`,
    [sessionId as string, id, CONTEXT_MESSAGES],
  );
}

/** Holds the claim for another `leaseMs`; false when it is no longer this attempt's. */
export async function renewLease(db: Db, { id, attempt }: Claim, leaseMs: number): Promise<boolean> {
  const held = await rows(
    db,
    `update secondme_invocations set lease_until = clock_timestamp() + make_interval(secs => ?)
     where id = ? and attempt = ? and status = 'running' returning 1`,
    [leaseMs / 1000, id, attempt],
  );
  return held.length > 0;
}

/** Gives the claim back, so that another worker may take it at once; false when it was no longer this attempt's. */
export function releaseInvocation(db: Db, { id, user_id, attempt }: Claim): Promise<boolean> {
  return db.transaction(async (trx) => {
    await lockUser(trx, user_id);
    const released = await rows(
      trx,
      `update secondme_invocations set status = 'queued', lease_until = null
       where id = ? and attempt = ? and status = 'running' returning 1`,
      [id, attempt],
    );
    return released.length > 0;
  });
}

/**
 * Stores how the invocation ended, and the reply in the conversation if that still goes on; a failed one's prompt
 * leaves the conversation. False when the claim is no longer this attempt's: then nothing is stored.
 * May be repeated after an unknown outcome.
 */
export function finishInvocation(
  db: Db,
  { id, user_id, attempt }: Claim,
  outcome: Outcome,
  messageId: string,
): Promise<boolean> {
  const { status, reply, tokens_used, latency_ms, fallback, error } = outcome;
  return db.transaction(async (trx) => {
    await lockUser(trx, user_id);
    const [mine] = await rows<{ status: string; finished: boolean }>(
      trx,
      `select status, finished_at is not null finished from secondme_invocations where id = ? and attempt = ?`,
      [id, attempt],
    );
    // An earlier try of this very call was committed and its answer lost.
    if (mine?.finished && mine.status === status) return true;
    if (mine?.status !== 'running') return false;
    await trx.raw(
      `update secondme_invocations set status = :status, reply = :reply, tokens_used = :tokens_used,
         latency_ms = :latency_ms, fallback = :fallback, error = :error, lease_until = null, finished_at = now()
       where id = :id`,
      { id, status, reply, tokens_used, latency_ms, fallback, error } as never,
    );
    if (status === 'succeeded') {
      await trx.raw(
        `insert into secondme_messages (id, session_id, user_id, role, content, invocation_id)
         select ?, session_id, user_id, 'assistant', reply, id
         from secondme_invocations where id = ? and session_id is not null`,
        [messageId, id],
      );
    } else {
      await trx.raw('delete from secondme_messages where invocation_id = ?', [id]);
    }
    return true;
  });
}

/** The user's invocation that has waited longest. */
export async function findNext(db: Db, userId: string): Promise<string | undefined> {
  const [next] = await rows<{ id: string }>(
    db,
    `select id from secondme_invocations where user_id = ? and status = 'queued'
     order by created_at, id limit 1`,
    [userId],
  );
  return next?.id;
}

/** Running invocations whose worker has let the lease run out. */
export function findAbandoned(db: Db, limit: number): Promise<{ id: string; attempt: number }[]> {
  return rows(
    db,
    `select id, attempt from secondme_invocations where status = 'running' and lease_until < clock_timestamp()
     order by lease_until limit ?`,
    [limit],
  );
}

/** Queued invocations that are older than `ageMs` and could run now, oldest first. */
export async function findWaiting(db: Db, ageMs: number, limit: number): Promise<string[]> {
  const found = await rows<{ id: string }>(
    db,
    `select id from secondme_invocations i
     where status = 'queued' and created_at <= clock_timestamp() - make_interval(secs => ?) and ? > (
       select count(*) from secondme_invocations o where o.user_id = i.user_id and o.status = 'running'
     ) order by created_at, id limit ?`,
    [ageMs / 1000, RUNNING_MAX, limit],
  );
  return found.map(({ id }) => id);
}
