/**
 * Second Me in PostgreSQL, as the workers see it: claiming, holding, finishing and finding work.
 *
 * A claim takes the next attempt number, which is its fence: nothing is stored for an attempt that is not the last.
 */
import type { Db } from '../platform/db.ts';
import { prepared, rows } from '../platform/db.ts';
import { lockUser, RUNNING_MAX } from './second-me.repo.ts';
import { createShared } from './shared.ts';

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

type Claimed = Omit<Claim, 'id' | 'user_id'> & {
  outcome: 'claimed' | 'dead' | 'suspect' | 'nothing' | 'busy';
  owner: string;
  crashes: number;
  context: ContextMessage[];
};

/** Migration 0009; without `patient`, `busy` where another transaction has the user's lock. */
const claimAll = (db: Db, given: ({ id: string } & ClaimOptions)[], patient: boolean) =>
  prepared<Claimed>(
    db,
    'secondme_claim',
    `select c.outcome, c.owner, c.prompt, c.attempt, c.crashes, c.context
     from unnest($1::text[], $2::integer[], $3::boolean[]) with ordinality g(id, lease_ms, suspects, ord)
     cross join lateral secondme_claim(id, lease_ms, suspects, $4, $5, $6, $7, $8) c order by g.ord`,
    [
      given.map(({ id }) => id),
      given.map(({ leaseMs }) => leaseMs),
      given.map(({ suspects }) => suspects),
      RUNNING_MAX,
      SUSPECT_CRASHES,
      CRASHES_MAX,
      CONTEXT_MESSAGES,
      patient,
    ],
  );

function takenOf(id: string, claimed: Claimed): Taken | undefined {
  const { outcome, owner: user_id, prompt, attempt, crashes, context } = claimed;
  if (outcome === 'claimed') return { kind: outcome, claim: { id, user_id, prompt, attempt }, context };
  if (outcome === 'dead') return { kind: outcome, id, user_id, crashes };
  if (outcome === 'suspect') return { kind: outcome };
  return undefined;
}

/**
 * Takes an invocation that is queued, or whose worker has let its lease run out, for `leaseMs`; one that has cost
 * CRASHES_MAX workers is buried instead.
 * Undefined when there is nothing to do: it has finished, somebody else has it, or the user has two running.
 */
export async function claimInvocation(db: Db, id: string, options: ClaimOptions): Promise<Taken | undefined> {
  const [claimed] = await claimAll(db, [{ id, ...options }], true);
  return takenOf(id, claimed!);
}

/** claimInvocation for many that are due at once. */
export function createClaims(db: Db): (id: string, options: ClaimOptions) => Promise<Taken | undefined> {
  const claim = createShared((given: ({ id: string } & ClaimOptions)[], patient) =>
    claimAll(db, given, patient),
  );
  return async (id, options) => takenOf(id, await claim({ id, ...options }));
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

/**
 * renewLease for many, in their order. One whose row another transaction has locked is not waited for: false, as for one
 * that is no longer its attempt's.
 */
export async function renewLeases(db: Db, claims: Claim[], leaseMs: number): Promise<boolean[]> {
  const outcomes = await prepared<{ renewed: boolean }>(
    db,
    'secondme_renew',
    `with given as (select * from unnest($1::text[], $2::integer[]) with ordinality g(id, attempt, ord)),
     free as (
       select id from secondme_invocations join given using (id, attempt) where status = 'running'
       for update of secondme_invocations skip locked
     ),
     renewed as (
       update secondme_invocations set lease_until = clock_timestamp() + make_interval(secs => $3)
       where id in (select id from free) returning id, attempt
     )
     select r.id is not null renewed from given g left join renewed r using (id, attempt) order by g.ord`,
    [claims.map(({ id }) => id), claims.map(({ attempt }) => attempt), leaseMs / 1000],
  );
  return outcomes.map(({ renewed }) => renewed);
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

/** An attempt and how it ended. */
interface End {
  claim: Claim;
  outcome: Outcome;
  /** The id of the reply in the conversation. */
  messageId: string;
}

/** What became of an end. */
export interface Finished {
  /** False when the claim was no longer this attempt's: then nothing is stored. */
  stored: boolean;
  /** The user's invocation that has waited longest. */
  next: string | undefined;
}

interface FinishedRow {
  outcome: 'done' | 'refused' | 'busy';
  next_id: string | null;
}

/** Migration 0009; without `patient`, `busy` where another transaction has the user's lock. */
const finishAll = (db: Db, ends: End[], patient: boolean) =>
  prepared<FinishedRow>(
    db,
    'secondme_finish',
    `select f.outcome, f.next_id
     from unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::integer[], $7::integer[],
       $8::boolean[], $9::text[], $10::text[]) with ordinality
       g(id, user_id, attempt, status, reply, tokens_used, latency_ms, fallback, error, message_id, ord)
     cross join lateral secondme_finish(
       id, user_id, attempt, status, reply, tokens_used, latency_ms, fallback, error, message_id, $11) f
     order by g.ord`,
    [
      ends.map(({ claim }) => claim.id),
      ends.map(({ claim }) => claim.user_id),
      ends.map(({ claim }) => claim.attempt),
      ends.map(({ outcome }) => outcome.status),
      ends.map(({ outcome }) => outcome.reply),
      ends.map(({ outcome }) => outcome.tokens_used),
      ends.map(({ outcome }) => outcome.latency_ms),
      ends.map(({ outcome }) => outcome.fallback),
      ends.map(({ outcome }) => outcome.error),
      ends.map(({ messageId }) => messageId),
      patient,
    ],
  );

const finishedOf = ({ outcome, next_id }: FinishedRow): Finished => ({
  stored: outcome === 'done',
  next: next_id ?? undefined,
});

/**
 * Stores how the invocation ended, and the reply in the conversation if that still goes on; a failed one's prompt
 * leaves the conversation. May be repeated after an unknown outcome.
 */
export async function finishInvocation(
  db: Db,
  claim: Claim,
  outcome: Outcome,
  messageId: string,
): Promise<Finished> {
  const [finished] = await finishAll(db, [{ claim, outcome, messageId }], true);
  return finishedOf(finished!);
}

/** finishInvocation for many that end at once. */
export function createEnds(db: Db): (claim: Claim, outcome: Outcome, messageId: string) => Promise<Finished> {
  const finish = createShared((ends: End[], patient) => finishAll(db, ends, patient));
  return async (claim, outcome, messageId) => finishedOf(await finish({ claim, outcome, messageId }));
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
