/**
 * The group commit: the first append goes out at once, those that arrive while a commit is in flight form the next
 * batch. An idle room pays no delay; a busy node pays one fsync for many.
 */
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '../contract/messages.ts';
import type { Db } from '../platform/db.ts';
import { AppError, isTemporary, refusesWrites } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { appendBatch, postBatch } from './log.repo.ts';
import type { Appended, Change, Creation } from './log.repo.ts';

const BATCH_MAX = 500;
/** Batches up to this size are never divided, and their acknowledgements do not wait for the deliveries. */
const SMALL = 16;
const QUEUE_MAX = 10_000;
const RETRY_AFTER_MS = 100;
/** For how long a refused batch says that writes are refused, unless one is committed meanwhile. */
const REFUSED_MS = 30_000;

type Result = Omit<Appended, 'ord'>;

interface Pending {
  entry: { creation: Creation } | { change: Change };
  resolve(result: Result): void;
  reject(error: unknown): void;
}

interface WriterDeps {
  db: Db;
  log: Logger;
  metrics: Metrics;
  /** Called soon after every commit with what it changed, each room's changes in order; must not throw. */
  onCommitted(messages: Message[]): void;
}

export function createWriter({ db, log, metrics, onCommitted }: WriterDeps) {
  const queue: Pending[] = [];
  let lastSize = 0;
  let running: Promise<void> | undefined;
  let refusedAt = -Infinity;

  /** What became of each of `creations` and `changes`, in that order. */
  const store = async (creations: Creation[], changes: Change[]): Promise<Result[]> => {
    const posted = creations.length > 0 ? await postBatch(db, creations) : [];
    const unusual = posted ? [] : creations;
    const appended = unusual.length + changes.length > 0 ? await appendBatch(db, unusual, changes) : [];
    return [
      ...(posted ?? []).map((message) => ({ outcome: 'created', message, retry_after_ms: null }) as const),
      ...appended.sort((a, b) => a.ord - b.ord),
    ];
  };

  const commitOnce = async (batch: Pending[]) => {
    const creations = batch.flatMap(({ entry }) => ('creation' in entry ? [entry.creation] : []));
    const changes = batch.flatMap(({ entry }) => ('change' in entry ? [entry.change] : []));
    const results = await store(creations, changes);
    refusedAt = -Infinity;
    metrics.appendBatch.observe(batch.length);
    let [creation, change] = [0, creations.length];
    for (const { entry, resolve } of batch) resolve(results['creation' in entry ? creation++ : change++]!);
    const changed = results.filter(({ outcome }) => outcome === 'created' || outcome === 'changed');
    const messages = changed.map(({ message }) => message).sort((a, b) => a.change_seq - b.change_seq);
    // A busy node does better to send its acknowledgements in one piece with the deliveries.
    if (batch.length <= SMALL) setImmediate(onCommitted, messages);
    else onCommitted(messages);
  };

  /** A batch may be repeated after a lost answer (migration 0004), so trouble with the connection is tried once more. */
  const commit = async (batch: Pending[]) => {
    try {
      await commitOnce(batch).catch(async (error: unknown) => {
        if (!isTemporary(error)) throw error;
        await sleep(RETRY_AFTER_MS);
        await commitOnce(batch);
      });
    } catch (error) {
      metrics.appendFailures.inc();
      if (refusesWrites(error)) refusedAt = Date.now();
      log.error({ err: error, size: batch.length }, 'a batch of the room log failed');
      if (batch.length === 1 || isTemporary(error)) {
        for (const { reject } of batch) reject(error);
        return;
      }
      // One bad entry must not fail its neighbours.
      for (const pending of batch) await commit([pending]);
    }
  };

  /**
   * The head of the queue with at most one change to each message, so that each is answered with its own result. Of
   * what waits and was last committed no more than half: while PostgreSQL works at one half, the senders of the other
   * are answered and send again, where a batch of all would have either wait for the other.
   */
  const nextBatch = (): Pending[] => {
    const half = Math.ceil((queue.length + lastSize) / 2);
    const max = Math.min(BATCH_MAX, Math.max(SMALL, half));
    const changed = new Set<string>();
    const end = queue.slice(0, max).findIndex(({ entry }) => {
      if (!('change' in entry)) return false;
      const again = changed.has(entry.change.message_id);
      changed.add(entry.change.message_id);
      return again;
    });
    const batch = queue.splice(0, end === -1 ? max : end);
    lastSize = batch.length;
    return batch;
  };

  const drain = async () => {
    while (queue.length > 0) await commit(nextBatch());
    running = undefined;
  };

  return {
    /**
     * Resolves once the entry is committed (or found to need no commit).
     * @throws AppError unavailable when more waits than this node can hold; storage errors as they are
     */
    append(given: Pending['entry']): Promise<Result> {
      if (queue.length >= QUEUE_MAX) {
        return Promise.reject(new AppError('unavailable', 'Too many messages are waiting to be stored.'));
      }
      const entry = 'change' in given ? { change: { id: randomUUID(), ...given.change } } : given;
      return new Promise((resolve, reject) => {
        queue.push({ entry, resolve, reject });
        running ??= drain();
      });
    },
    /** Whether PostgreSQL refused the last batch because it takes no writes. */
    refused: () => Date.now() - refusedAt < REFUSED_MS,
    /** Resolves when everything accepted so far is committed and told, or refused. */
    async settled(): Promise<void> {
      await running;
      await nextTurn();
    },
  };
}
