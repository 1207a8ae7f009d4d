/**
 * Second Me in PostgreSQL, as the workers see it: claiming, holding, finishing and finding work.
 *
 * A claim takes the next attempt number, which is its fence: nothing is stored for an attempt that is not the last.
 */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';
import { lockUser, RUNNING_MAX } from './second-me.repo.ts';

const CONTEXT_MESSAGES = 10;
/** Workers that an invocation may cost before it is dead. */
const CRASHES_MAX = 3;
/** From so many on it is suspected of killing them. One is an accident: a worker that dies takes many calls with it. */
const SUSPECT_CRASHES = 2;

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
  latency_ms: number | null;
  fallback: boolean;
  /** For the operators. */
  error: string | null;
}

/** What became of an attempt to claim. */
export type Taken =
  | { kind: 'claimed'; claim: Claim; context: ContextMessage[] }
  /** It has cost too many workers and has just been given up. */
  | { kind: 'dead'; id: string; user_id: string; crashes: number }
  /** It has cost workers before, and the caller did not ask for such. */
  | { kind: 'suspect' };

interface ClaimOptions {
  leaseMs: number;
  /** Whether one that may be what killed its workers is taken too. */
  suspects: boolean;
}

/**
 * Takes an invocation that is queued, or whose worker has let its lease run out, for `leaseMs`; one that has cost
 * CRASHES_MAX workers is buried instead.
 * Undefined when there is nothing to do: it has finished, somebody else has it, or the user has two running.
 */
export function claimInvocation(db: Db, id: string, options: ClaimOptions): Promise<Taken | undefined> {
  const { leaseMs, suspects } = options;
  return db.transaction(async (trx) => {
    const [owner] = await rows<{ user_id: string }>(
      trx,
      'select user_id from secondme_invocations where id = ?',
      [id],
    );
    if (!owner) return undefined;
    await lockUser(trx, owner.user_id);
    const [found] = await rows<{ crashes: number }>(
      trx,
      `select crashes + (status = 'running')::integer crashes
       from secondme_invocations i
       where id = ? and (
         status = 'running' and lease_until < clock_timestamp() or
         status = 'queued' and ? > (
           select count(*) from secondme_invocations o where o.user_id = i.user_id and o.status = 'running'
         )
       ) for update of i`,
      [id, RUNNING_MAX],
    );
    if (!found) return undefined;
    const { crashes } = found;
    if (crashes >= CRASHES_MAX) {
      await bury(trx, id, crashes);
      return { kind: 'dead', id, user_id: owner.user_id, crashes };
    }
    if (crashes >= SUSPECT_CRASHES && !suspects) return { kind: 'suspect' };
    const [claim] = await rows<Claim & { session_id: string | null }>(
      trx,
      `update secondme_invocations set status = 'running', attempt = attempt + 1, crashes = ?,
         lease_until = clock_timestamp() + make_interval(secs => ?)
       where id = ? returning id, user_id, session_id, prompt, attempt`,
      [crashes, leaseMs / 1000, id],
    );
    const { session_id, ...taken } = claim!;
    return { kind: 'claimed', claim: taken, context: await readContext(trx, session_id, id) };
  });
}

/** Ends an invocation as poison: failed for its user, dead for the operators; whoever still works on it is fenced off. */
async function bury(trx: Db, id: string, crashes: number): Promise<void> {
  await trx.raw(
    `update secondme_invocations set status = 'failed', attempt = attempt + 1, crashes = ?, error = 'poison',
       lease_until = null, finished_at = now(), died_at = now()
     where id = ?`,
    [crashes, id],
  );
  await dropMessages(trx, id);
}

/** What failed leaves the conversation. */
const dropMessages = (trx: Db, id: string) =>
  trx.raw('delete from secondme_messages where invocation_id = ?', [id]);

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
      await dropMessages(trx, id);
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

/**
 * Queued invocations that are older than `ageMs` and could run now, oldest first: of each user no more than may run
 * at once, so that nobody's backlog hides another's.
 */
export async function findWaiting(db: Db, ageMs: number, limit: number): Promise<string[]> {
  const found = await rows<{ id: string }>(
    db,
    `select id from (
       select id, status, created_at, row_number() over (partition by user_id order by status = 'queued', created_at, id) place
       from secondme_invocations where status in ('queued', 'running')
     ) active
     where status = 'queued' and place <= ? and created_at <= clock_timestamp() - make_interval(secs => ?)
     order by created_at, id limit ?`,
    [RUNNING_MAX, ageMs / 1000, limit],
  );
  return found.map(({ id }) => id);
}
