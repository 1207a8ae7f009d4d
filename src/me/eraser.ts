/**
 * The job behind DELETE /me: erases one person after another in small batches, whichever worker is there to do it.
 *
 * The row in city_erasures is the truth; there is no other state. A pass goes through all that is kept and erases what
 * it finds, so that whoever takes over simply begins one. It is finished when a whole pass found nothing that began
 * after everything which was under way at the request has come to an end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import { ERASURE_NEWS } from './erasures.ts';
import { claimErasure, finishErasure, holdErasure, listOpen, releaseErasure } from './erasures.repo.ts';
import type { Task } from './erasures.repo.ts';
import type { Erased, Forget, Stores } from './personal-data.ts';

/** Milliseconds. */
const TIMINGS = {
  /** How often a worker looks for erasures, and goes over those that are not settled yet. */
  lookMs: 1_000,
  /** Longer than a batch may take; a killed worker's erasure is another's after it. */
  leaseMs: 10_000,
  /** What was let in before the request was known everywhere is committed or has failed by then. */
  settledMs: 10_000,
};
/** Rows in one transaction. The messages of a batch hold up their room for as long as it takes. */
const BATCH = 200;
/** Persons at a time: one with a long history must not keep the others waiting. */
const LANES = 3;

interface EraserDeps extends Stores {
  rooms: RoomsNamespace;
  /** What the features forget, in this order. */
  forget: readonly Forget[];
  log: Logger;
  timings?: Partial<typeof TIMINGS>;
}

export function createEraser({ db, redis, rooms, forget, log, timings }: EraserDeps) {
  const { lookMs, leaseMs, settledMs } = { ...TIMINGS, ...timings };
  const stopping = new AbortController();
  const { signal } = stopping;
  const rest = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {});

  /** How much there was; whether it began when all was settled. */
  const pass = async (task: Task, erased: Erased): Promise<{ found: number; settled: boolean }> => {
    const settled = await holdErasure(db, task.n, leaseMs, settledMs);
    let found = 0;
    for (const each of forget) {
      let done: number;
      do {
        if (signal.aborted) return { found, settled: false };
        const began = performance.now();
        done = await each({ db, redis }, erased, BATCH);
        found += done;
        if (done === 0) break;
        await holdErasure(db, task.n, leaseMs, settledMs);
        // A fifth of the time belongs to everybody else; who waits for a room's lock has it after each batch anyway.
        await rest((performance.now() - began) / 4);
      } while (done > 0);
    }
    return { found, settled };
  };

  const erase = async (n: number) => {
    const task = await claimErasure(db, n, leaseMs);
    if (!task) return;
    const { user_id: userId, alias } = task;
    try {
      const { found, settled } = await pass(task, { userId, alias, aliasName: `User-${alias.slice(-4)}` });
      if (!settled || found > 0) return;
      await finishErasure(db, n);
      rooms.serverSideEmit(ERASURE_NEWS, null as never);
      log.info({ erasure: n }, 'an erasure is finished');
    } finally {
      await releaseErasure(db, n).catch(() => {});
    }
  };

  const look = async () => {
    const open = await listOpen(db);
    const failures: unknown[] = [];
    const lane = async () => {
      for (let n = open.shift(); n !== undefined && !signal.aborted; n = open.shift()) {
        // What one of them stumbles over is not the others' fault.
        await erase(n).catch((error: unknown) => failures.push(error));
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    if (failures.length > 0) throw failures[0];
  };
  let endLooking: (() => Promise<void>) | undefined;

  return {
    start(): void {
      endLooking = startLoop(lookMs, look, log, 'an erasure cannot go on');
    },
    /** Leaves what is under way, after the present batch, to other workers. */
    async stop(): Promise<void> {
      stopping.abort();
      await endLooking?.();
    },
  };
}
