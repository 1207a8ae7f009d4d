/**
 * The job behind an invocation: claim the row, ask Agents Core, pass the pieces on, store the end.
 *
 * The row's lease is renewed while the call runs; whoever finds it run out takes the next attempt, whose number is
 * the fence that makes this attempt's end void. After too many attempts the row is taken for poison.
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
import type { SecondMeNews } from './second-me.news.ts';
import { createSweep } from './sweep.ts';
import { claimInvocation, findNext, finishInvocation, releaseInvocation, renewLease } from './work.repo.ts';
import type { Claim, ContextMessage, Outcome } from './work.repo.ts';

const ATTEMPTS_MAX = 3;

export const FALLBACK_REPLY =
  'Вибачте, зараз я не можу відповісти. Спробуйте, будь ласка, трохи згодом.\n' +
  'Sorry, I cannot answer right now. Please try again a little later.';

/**
 * Milliseconds. A killed worker's row is another's within leaseMs + rescueMs, which has to stay under 10 s; the lease
 * outlives two renewals that fail.
 */
const TIMINGS = {
  leaseMs: 8_000,
  renewMs: 2_500,
  rescueMs: 1_500,
  sweepMs: 15_000,
  freshMs: 5_000,
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
  const sweep = createSweep({ db, redis, enqueue, log, ...sweepTimings });
  const runs = new Map<Run, Promise<void>>();
  let stopping = false;

  const tellStatus = ({ id, user_id }: Claim, status: InvocationStatus) =>
    rooms.to(userChannel(user_id)).emit('secondme.status', { invocation_id: id, status });

  const hint = (id: string, jobId: string) =>
    enqueue('secondme.invoke', { invocation_id: id }, { jobId }).catch((error: unknown) => {
      log.debug({ err: error, invocation_id: id }, 'an invocation waits for the sweep');
    });

  /** Asks the agent; undefined when the call was broken off. */
  const ask = async (claim: Claim, context: ContextMessage[], run: Run): Promise<Outcome | undefined> => {
    const { id, user_id, prompt } = claim;
    const start = performance.now();
    let index = 0;
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

    if (claim.attempt > ATTEMPTS_MAX) {
      log.error({ invocation_id: id }, 'an invocation has cost three workers and is given up');
      return down('poison');
    }
    try {
      const answer = await agents.invoke(
        { invocation_id: id, agent_id: agentId, input: prompt, user_id, messages: context },
        {
          signal: run.signal,
          onDelta: (text) => {
            const piece = { invocation_id: id, index: index++, text };
            rooms.to(userChannel(user_id)).emit('secondme.delta', piece);
          },
          onRestart: () => void (index = 0),
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
  const store = async (claim: Claim, outcome: Outcome, run: Run): Promise<boolean> => {
    const messageId = newId('smmsg');
    for (;;) {
      try {
        return await finishInvocation(db, claim, outcome, messageId);
      } catch (error) {
        if (!isTemporary(error) || run.signal.aborted) throw error;
        log.warn({ err: error, invocation_id: claim.id }, 'a reply waits for the database');
        await sleep(storeAgainMs, undefined, { signal: run.signal }).catch(() => {});
      }
    }
  };

  const perform = async (claim: Claim, context: ContextMessage[], run: Run): Promise<void> => {
    const { id, user_id } = claim;
    tellStatus(claim, 'running');
    const outcome = await ask(claim, context, run);
    if (!outcome) {
      if (run.signal.reason !== 'stopping' || !(await releaseInvocation(db, claim))) return;
      tellStatus(claim, 'queued');
      await hint(id, `${id}-${claim.attempt}`);
      return;
    }
    if (!(await store(claim, outcome, run))) {
      log.info({ invocation_id: id, attempt: claim.attempt }, 'a late reply was refused');
      return;
    }
    const { error: _, ...result } = outcome;
    metrics.invocations.inc({ outcome: result.fallback ? 'fallback' : result.status });
    tellStatus(claim, result.status);
    rooms.to(userChannel(user_id)).emit('secondme.reply', { invocation_id: id, ...result });
    news.tell('secondme.finished', id);
  };

  const claimAndPerform = async (run: Run): Promise<void> => {
    const taken = await claimInvocation(db, run.id, leaseMs);
    if (!taken) return;
    const { claim, context } = taken;
    const lease = setInterval(() => {
      renewLease(db, claim, leaseMs).then(
        (held) => held || run.abort('lost'),
        (error: unknown) => log.debug({ err: error, invocation_id: claim.id }, 'a lease was not renewed'),
      );
    }, renewMs);
    try {
      await perform(claim, context, run);
    } finally {
      clearInterval(lease);
    }
    // A place of the user's is free; the job id is one that no earlier hint of the next one has.
    const next = await findNext(db, claim.user_id);
    if (next !== undefined && next !== claim.id) await hint(next, `${next}-after-${claim.id}`);
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
      const done = claimAndPerform(run);
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
