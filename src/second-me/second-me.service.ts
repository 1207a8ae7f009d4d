/** Second Me for its user: ask, wait, look, cancel, history, profile. The work itself is the job's. */
import type { Caller } from '../auth/caller.ts';
import type { ChatMessage, Invocation, Profile } from '../contract/second-me.ts';
import type { Enqueue } from '../jobs.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import { userChannel } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { createLine } from './line.ts';
import type { SecondMeNews } from './second-me.news.ts';
import {
  cancelInvocation,
  clearHistory,
  createCreation,
  findFinished,
  findInvocation,
  readHistory,
  readTotals,
} from './second-me.repo.ts';
import type { InvocationRow } from './second-me.repo.ts';
import { createWaits } from './waits.ts';

/**
 * Prompts of one user that a node keeps in line, a quarter of a second's worth: enough for a client that asks for one
 * key from everywhere at once, and no burden on anybody else.
 */
const LINE_MAX = 256;

interface SecondMeDeps {
  db: Db;
  rooms: RoomsNamespace;
  news: SecondMeNews;
  enqueue: Enqueue;
  newId: NewId;
  log: Logger;
  metrics: Metrics;
  agentId: string;
  /** How long an answer may wait for its reply, milliseconds. */
  waitMs?: number;
  /** How often a waiting answer looks at its row, for news that got lost; milliseconds. */
  pollMs?: number;
}

export type SecondMe = ReturnType<typeof createSecondMe>;

const view = ({
  id,
  status,
  reply,
  tokens_used,
  latency_ms,
  fallback,
  created_at,
}: InvocationRow): Invocation => ({
  invocation_id: id,
  status,
  reply,
  tokens_used,
  latency_ms,
  fallback,
  created_at,
});

const notFound = () => new AppError('not_found', 'There is no such invocation of yours.');

/** Whether nothing will happen to an invocation any more. */
export const isFinished = ({ status }: { status: Invocation['status'] }) =>
  status !== 'queued' && status !== 'running';

export function createSecondMe({
  db,
  rooms,
  news,
  enqueue,
  newId,
  log,
  metrics,
  agentId,
  waitMs = 25_000,
  pollMs = 1_000,
}: SecondMeDeps) {
  const waits = createWaits({ news, log, pollMs, findFinished: (ids) => findFinished(db, ids) });

  const inLine = createLine(LINE_MAX);
  const create = createCreation(db);

  return {
    /**
     * Stores the prompt and hints the workers; `hinted` is false when Redis did not take the hint, so that the work
     * begins only when it is back. A repeated `key` answers the invocation that it was first used for.
     * @throws AppError idempotency_mismatch, rate_limited
     */
    async invoke(
      caller: Caller,
      prompt: string,
      key?: string,
    ): Promise<{ invocation: Invocation; hinted: boolean }> {
      const ids = { id: newId('sminv'), messageId: newId('smmsg'), sessionId: newId('smsess') };
      const row = await inLine(caller.id, () => create({ ...ids, userId: caller.id, key, prompt }));
      if (row.status !== 'queued') return { invocation: view(row), hinted: true };
      const hinted = await enqueue('secondme.invoke', { invocation_id: row.id }, { jobId: row.id }).then(
        () => true,
        (error: unknown) => {
          log.warn({ err: error, invocation_id: row.id }, 'an invocation waits for the sweep');
          return false;
        },
      );
      return { invocation: view(row), hinted };
    },

    /** The invocation once it has finished, or as it is when the waiting time is over. */
    async waitFor(invocation: Invocation): Promise<Invocation> {
      const id = invocation.invocation_id;
      const look = () =>
        findInvocation(db, id).then(
          (row) => (row ? view(row) : invocation),
          (error: unknown) => {
            // What was accepted stays accepted: the caller is told what is known.
            log.warn({ err: error, invocation_id: id }, 'an invocation cannot be read');
            return invocation;
          },
        );
      // The wait begins before the look, so that no news falls between them.
      const wait = waits.begin(id, waitMs);
      const now = await look();
      if (isFinished(now)) {
        wait.end();
        return now;
      }
      await wait.over;
      return look();
    },

    /** @throws AppError not_found, also for another user's */
    async get(caller: Caller, id: string): Promise<Invocation> {
      const row = await findInvocation(db, id, caller.id);
      if (!row) throw notFound();
      return view(row);
    },

    /**
     * Cancels an invocation and the call that may be under way for it; one that has finished stays as it is.
     * @throws AppError not_found, also for another user's
     */
    async cancel(caller: Caller, id: string): Promise<Invocation> {
      const result = await cancelInvocation(db, id, caller.id);
      if (!result) throw notFound();
      if (result.cancelled) {
        metrics.invocations.inc({ outcome: 'cancelled' });
        rooms.to(userChannel(caller.id)).emit('secondme.status', { invocation_id: id, status: 'cancelled' });
        news.tell('secondme.cancel', id);
        news.tell('secondme.finished', id);
      }
      return view(result.row);
    },

    /** The last `limit` messages since the last clear, oldest first. */
    history: (caller: Caller, limit: number): Promise<ChatMessage[]> => readHistory(db, caller.id, limit),

    async profile(caller: Caller): Promise<Profile> {
      return { user_id: caller.id, agent_id: agentId, ...(await readTotals(db, caller.id)) };
    },

    /** Forgets the conversation; the number of messages that it had. */
    clear: (caller: Caller): Promise<number> => clearHistory(db, caller.id),

    /** Ends every waitFor at once, so that a node that goes away answers what it knows. */
    stop: () => waits.stop(),
  };
}
