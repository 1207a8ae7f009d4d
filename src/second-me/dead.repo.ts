/** Dead invocations in PostgreSQL: those that cost too many workers, kept until an operator requeues them. */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';
import { lockUser } from './second-me.repo.ts';

/** A dead invocation as operators see it; the prompt is its user's business. */
export interface DeadInvocation {
  invocation_id: string;
  user_id: string;
  /** Attempts that cost their worker. */
  attempts: number;
  reason: string;
  created_at: string;
  died_at: string;
}

/** The dead, the latest first. */
export function listDead(db: Db, limit: number): Promise<DeadInvocation[]> {
  return rows(
    db,
    `select id invocation_id, user_id, crashes attempts, error reason, created_at, died_at
     from secondme_invocations where died_at is not null order by died_at desc limit ?`,
    [limit],
  );
}

/**
 * Queues a dead invocation again, its crashes forgotten and its prompt back in the conversation if that still goes on;
 * the fence stays, so that no worker of its first life can end it.
 * Its owner; `alive` when it is not dead, undefined when there is none.
 */
export function requeueDead(
  db: Db,
  id: string,
  messageId: string,
): Promise<{ user_id: string } | 'alive' | undefined> {
  return db.transaction(async (trx) => {
    const [owner] = await rows<{ user_id: string }>(
      trx,
      'select user_id from secondme_invocations where id = ?',
      [id],
    );
    if (!owner) return undefined;
    await lockUser(trx, owner.user_id);
    const requeued = await rows(
      trx,
      `update secondme_invocations
       set status = 'queued', crashes = 0, error = null, finished_at = null, died_at = null
       where id = ? and died_at is not null returning 1`,
      [id],
    );
    if (requeued.length === 0) return 'alive';
    await trx.raw(
      `insert into secondme_messages (id, session_id, user_id, role, content, invocation_id)
       select ?, session_id, user_id, 'user', prompt, id
       from secondme_invocations where id = ? and session_id is not null`,
      [messageId, id],
    );
    return owner;
  });
}
