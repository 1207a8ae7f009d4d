/**
 * Dead invocations for the operators: which they are, and another life for one of them.
 *
 * Decision: a dead invocation is `failed` for its user and has no recorded reply, whatever SECONDME_FALLBACK says. The
 * fallback stands for an agent that is down; here nobody knows what the agent would say, and an operator may still
 * find out. One key has one recorded reply: were the fallback recorded, a requeue would have to replace what the key
 * has already answered. So the first reply that is ever recorded is that of the requeued one.
 */
import type { Enqueue } from '../jobs.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import { userChannel } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { listDead, requeueDead } from './dead.repo.ts';
import type { DeadInvocation } from './dead.repo.ts';

const LISTED_MAX = 500;

interface DeadInvocationsDeps {
  db: Db;
  rooms: RoomsNamespace;
  enqueue: Enqueue;
  newId: NewId;
  log: Logger;
}

export type DeadInvocations = ReturnType<typeof createDeadInvocations>;

export function createDeadInvocations({ db, rooms, enqueue, newId, log }: DeadInvocationsDeps) {
  return {
    /** The latest 500, the latest first. */
    list: (): Promise<DeadInvocation[]> => listDead(db, LISTED_MAX),

    /**
     * Queues a dead one again, with three more workers to its credit.
     * @throws AppError not_found; conflict when it is not dead
     */
    async requeue(id: string): Promise<void> {
      const owner = await requeueDead(db, id, newId('smmsg'));
      if (!owner) throw new AppError('not_found', 'There is no such invocation.');
      if (owner === 'alive') throw new AppError('conflict', 'This invocation is not dead.');
      log.info({ invocation_id: id }, 'a dead invocation was requeued');
      rooms.to(userChannel(owner.user_id)).emit('secondme.status', { invocation_id: id, status: 'queued' });
      await enqueue('secondme.invoke', { invocation_id: id }, { jobId: id }).catch((error: unknown) => {
        log.warn({ err: error, invocation_id: id }, 'an invocation waits for the sweep');
      });
    },
  };
}
