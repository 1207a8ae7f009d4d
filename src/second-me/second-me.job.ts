/**
 * The job behind an invocation: claim the row, ask Agents Core, pass the pieces on, store the end.
 *
 * The row's lease is renewed while the call runs; whoever finds it run out takes the next attempt, whose number is
 * the fence that makes this attempt's end void. A row that has cost three workers is dead. Before that it is a suspect,
 * of which a process runs one at a time: the others that died with it are not killed with it again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentsCoreError } from '../agents-core/agents-core.ts';
import type { AgentsCore } from '../agents-core/agents-core.ts';
import type { InvocationStatus } from '../contract/second-me.ts';
import type { Enqueue } from '../jobs.ts';
import type { Db } from '../platform/db.ts';
import { isTemporary } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import { userChannel } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { RedisLinks } from '../platform/redis.ts';
import { createLeases } from './leases.ts';
import type { Lease } from './leases.ts';
import { tellEnd } from './second-me.news.ts';
import type { SecondMeNews } from './second-me.news.ts';
import { createSweep } from './sweep.ts';
import { createClaims, createEnds, findNext, releaseInvocation } from './work.repo.ts';
import type { Claim, ContextMessage, Finished, Outcome, Taken } from './work.repo.ts';

export const FALLBACK_REPLY =
  'Вибачте, зараз я не можу відповісти. Спробуйте, будь ласка, трохи згодом.\n' +
  'Sorry, I cannot answer right now. Please try again a little later.';

/**
 * Milliseconds. A killed worker's row is another's within leaseMs + rescueMs, and a row whose hint is lost within
 * freshMs + sweepMs: both well under 10 s. The lease outlives an event loop that is blocked for 5 s.
 */
const TIMINGS = {
  leaseMs: 7_500,
  renewMs: 2_000,
  rescueMs: 1_000,
  sweepMs: 4_000,
  freshMs: 3_000,
  storeAgainMs: 500,
};

interface SecondMeJobDeps {
  db: Db;
  rooms: RoomsNamespace;
  redis: RedisLinks;
  news: SecondMeNews;
  agents: AgentsCore;
  enqueue: Enqueue;
  newId: NewId;
  log: Logger;
  metrics: Metrics;
  agentId: string;
  /** What the user gets while Agents Core is down. */
  fallback: 'reply' | 'error';
  timings?: Partial<typeof TIMINGS>;
}

/** Why a call is broken off: its user, another worker, or the end of this one. */
type Abort = 'cancelled' | 'lost' | 'stopping';

type Owned = Pick<Claim, 'id' | 'user_id'>;

interface Run {
  id: string;
  abort(why: Abort): void;
  signal: AbortSignal;
}

export function createSecondMeJob({
  db,
  rooms,
  redis,
  news,
  agents,
  enqueue,
  newId,
  log,
  metrics,
  agentId,
  fallback,
  timings,
}: SecondMeJobDeps) {
  const { leaseMs, renewMs, storeAgainMs, ...sweepTimings } = { ...TIMINGS, ...timings };
  const leases = createLeases({ db, log, leaseMs, renewMs });
  const sweep = createSweep({ db, redis, enqueue, log, ...sweepTimings });
  const take = createClaims(db);
  const finish = createEnds(db);
  const runs = new Map<Run, Promise<void>>();
  let stopping = false;

  /** Whether this process works on a suspect. */
  let suspected = false;

  const tellStatus = ({ id, user_id }: Owned, status: InvocationStatus) =>
    rooms.to(userChannel(user_id)).emit('secondme.status', { invocation_id: id, status });

  const announceEnd = (owned: Owned, result: Omit<Outcome, 'error'>) => {
    tellEnd(rooms.to(userChannel(owned.user_id)), { invocation_id: owned.id, ...result });
    news.tell('secondme.finished', owned.id);
  };

  const hint = (id: string, jobId: string) =>
    enqueue('secondme.invoke', { invocation_id: id }, { jobId }).catch((error: unknown) => {
      log.debug({ err: error, invocation_id: id }, 'an invocation waits for the sweep');
    });

  /** Asks the agent; undefined when the call was broken off. */
  const ask = async (
    claim: Claim,
    context: ContextMessage[],
    run: Run,
    lease: Lease,
  ): Promise<Outcome | undefined> => {
    const { id, user_id, prompt } = claim;
    const start = performance.now();
    let index = 0;
    let unsaid = '';
    const end = (result: Partial<Outcome>): Outcome => ({
      status: 'succeeded',
      reply: null,
      tokens_used: null,
      latency_ms: Math.round(performance.now() - start),
      fallback: false,
      error: null,
      ...result,
    });
    const down = (error: string) =>
      fallback === 'reply'
        ? end({ reply: FALLBACK_REPLY, fallback: true, error })
        : end({ status: 'failed', error });

    try {
      const answer = await agents.invoke(
        { invocation_id: id, agent_id: agentId, input: prompt, user_id, messages: context },
        {
          signal: run.signal,
          onDelta: (text) => {
            unsaid += text;
            // After a freeze, or without the database, another attempt may be the one that speaks.
            if (!lease.isFresh()) return;
            const piece = { invocation_id: id, index: index++, text: unsaid };
            unsaid = '';
            rooms.to(userChannel(user_id)).emit('secondme.delta', piece);
          },
          onRestart() {
            index = 0;
            unsaid = '';
          },
        },
      );
      return end(answer);
    } catch (error) {
      if (run.signal.aborted) return undefined;
      const reason = error instanceof AgentsCoreError ? error.reason : 'unknown';
      log.warn({ err: error, invocation_id: id, reason }, 'Agents Core gave no reply');
      return down(reason);
    }
  };

  /** Stores the end; a database that is away is waited for, so that the reply need not be asked for again. */
  const store = async (claim: Claim, outcome: Outcome, run: Run): Promise<Finished> => {
    const messageId = newId('smmsg');
    for (;;) {
      try {
        return await finish(claim, outcome, messageId);
      } catch (error) {
        if (!isTemporary(error) || run.signal.aborted) throw error;
        log.warn({ err: error, invocation_id: claim.id }, 'a reply waits for the database');
        await sleep(storeAgainMs, undefined, { signal: run.signal }).catch(() => {});
      }
    }
  };

  /** Answers the user's next one. */
  const perform = async (
    claim: Claim,
    context: ContextMessage[],
    run: Run,
    lease: Lease,
  ): Promise<string | undefined> => {
    const { id } = claim;
    if (lease.isFresh()) tellStatus(claim, 'running');
    const outcome = await ask(claim, context, run, lease);
    if (!outcome) {
      if (run.signal.reason === 'stopping' && (await releaseInvocation(db, claim))) {
        tellStatus(claim, 'queued');
        await hint(id, `${id}-${claim.attempt}`);
      }
      return findNext(db, claim.user_id);
    }
    const { stored, next } = await store(claim, outcome, run);
    if (!stored) {
      log.info({ invocation_id: id, attempt: claim.attempt }, 'a late reply was refused');
      return next;
    }
    const { error: _, ...result } = outcome;
    metrics.invocations.inc({ outcome: result.fallback ? 'fallback' : result.status });
    announceEnd(claim, result);
    return next;
  };

  const performLeased = async (
    claim: Claim,
    context: ContextMessage[],
    run: Run,
    askedAt: number,
  ): Promise<string | undefined> => {
    const lease = leases.hold(claim, askedAt, () => run.abort('lost'));
    try {
      return await perform(claim, context, run, lease);
    } finally {
      lease.letGo();
    }
  };

  const mourn = (dead: Extract<Taken, { kind: 'dead' }>) => {
    const { id: invocation_id, user_id, crashes } = dead;
    const remedy = `POST /second-me/dead/${invocation_id}/requeue on the operations server runs it again`;
    log.error(
      { invocation_id, user_id, crashes, remedy },
      'an invocation has cost too many workers and is dead',
    );
    metrics.invocations.inc({ outcome: 'dead' });
    const nothing = { reply: null, tokens_used: null, latency_ms: null, fallback: false };
    announceEnd(dead, { status: 'failed', ...nothing });
  };

  /** False when it is a suspect that this process may not take. */
  const claimAndPerform = async (run: Run, suspects: boolean): Promise<boolean> => {
    const { id } = run;
    const askedAt = performance.now();
    const taken = await take(id, { leaseMs, suspects });
    if (!taken) return true;
    if (taken.kind === 'suspect') return false;
    if (taken.kind === 'dead') mourn(taken);
    const next =
      taken.kind === 'dead'
        ? await findNext(db, taken.user_id)
        : await performLeased(taken.claim, taken.context, run, askedAt);
    // A place of the user's is free; the job id is one that no earlier hint of the next one has.
    if (next !== undefined && next !== id) await hint(next, `${next}-after-${id}`);
    return true;
  };

  const work = async (run: Run): Promise<void> => {
    if ((await claimAndPerform(run, false)) || suspected) return;
    suspected = true;
    try {
      await claimAndPerform(run, true);
    } finally {
      suspected = false;
      sweep.wake();
    }
  };

  news.on('secondme.cancel', (id) => {
    for (const run of runs.keys()) if (run.id === id) run.abort('cancelled');
  });

  return {
    /** The handler of `secondme.invoke`: does what the row still asks for, which may be nothing. */
    async run({ invocation_id }: { invocation_id: string }): Promise<void> {
      // Left to the sweep of another worker.
      if (stopping) return;
      const controller = new AbortController();
      const abort = (why: Abort) => controller.abort(why);
      const run = { id: invocation_id, abort, signal: controller.signal };
      const done = work(run);
      runs.set(run, done);
      await done.finally(() => runs.delete(run));
    },

    /** Starts the sweep. */
    start: () => sweep.start(),

    /**
     * Claims nothing more and gives running calls `graceMs` to end; then breaks them off and hands their rows to
     * the other workers.
     */
    async stop(graceMs = 20_000): Promise<void> {
      stopping = true;
      await sweep.stop();
      const grace = setTimeout(() => {
        for (const run of runs.keys()) run.abort('stopping');
      }, graceMs);
      await Promise.allSettled(runs.values());
      clearTimeout(grace);
    },
  };
}
