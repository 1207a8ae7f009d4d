/**
 * The sweep of a worker: hints for what no job works on any more. Rows say what is to be done; a hint may be lost
 * with Redis, with its worker, or for want of a free place of its user.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Enqueue } from '../jobs.ts';
import type { Db } from '../platform/db.ts';
import type { Logger } from '../platform/logger.ts';
import type { RedisLinks } from '../platform/redis.ts';
import { findAbandoned, findWaiting } from './work.repo.ts';

const HINTS_MAX = 500;

interface SweepDeps {
  db: Db;
  redis: RedisLinks;
  enqueue: Enqueue;
  log: Logger;
  /** How often abandoned rows are looked for, milliseconds. */
  rescueMs: number;
  /** How often queued rows are looked for, milliseconds. */
  sweepMs: number;
  /** A queued row younger than this, milliseconds, has just been hinted by whoever stored it. */
  freshMs: number;
}

export function createSweep({ db, redis, enqueue, log, rescueMs, sweepMs, freshMs }: SweepDeps) {
  const stop = new AbortController();
  let nap = new AbortController();
  /** When queued rows are due, on the clock of performance.now(); 0: at once, and fresh ones too. */
  let dueAt = 0;

  const pass = async () => {
    for (const { id, attempt } of await findAbandoned(db, HINTS_MAX)) {
      // An id of its own: the dead worker's job may still hold the plain one.
      await enqueue('secondme.invoke', { invocation_id: id }, { jobId: `${id}-${attempt}` });
    }
    if (performance.now() < dueAt) return;
    const age = dueAt === 0 ? 0 : freshMs;
    dueAt = performance.now() + sweepMs;
    for (const id of await findWaiting(db, age, HINTS_MAX)) {
      await enqueue('secondme.invoke', { invocation_id: id }, { jobId: id });
    }
  };

  const sweepForEver = async () => {
    let failing = false;
    while (!stop.signal.aborted) {
      nap = new AbortController();
      try {
        await pass();
        failing = false;
      } catch (error) {
        if (!failing) log.warn({ err: error }, 'the sweep of Second Me failed');
        failing = true;
        dueAt = 0;
      }
      const wake = AbortSignal.any([nap.signal, stop.signal]);
      await sleep(rescueMs, undefined, { signal: wake }).catch(() => {});
    }
  };
  let sweeping = Promise.resolve();

  return {
    /** Begins with everything that is queued, and does so again whenever Redis is back. */
    start(): void {
      sweeping = sweepForEver();
      redis.onReady(() => {
        dueAt = 0;
        nap.abort();
      });
    },

    /** Looks for abandoned rows now. */
    wake: () => nap.abort(),

    async stop(): Promise<void> {
      stop.abort();
      await sweeping;
    },
  };
}
