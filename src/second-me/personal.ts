/** One user's conversation with their Second Me. */
import { change, rowsOf } from '../me/personal-data.ts';
import type { Forget } from '../me/personal-data.ts';
import { rows } from '../platform/db.ts';
import type { SecondMeNews } from './second-me.news.ts';
import { lockUser } from './second-me.repo.ts';

export const secondMeSections = [
  rowsOf(
    'second_me_sessions',
    { a: '', b: 0 },
    `select id a, 0 b, id, created_at
     from secondme_sessions where user_id = :user and (id, 0) > (:a, :b) order by id limit :limit`,
  ),
  rowsOf(
    'second_me_messages',
    { a: 0, b: 0 },
    `select m.n a, 0 b, m.role, m.content, m.created_at, m.invocation_id
     from secondme_messages m join secondme_sessions s on s.id = m.session_id
     where s.user_id = :user and (m.n, 0) > (:a, :b) order by m.n limit :limit`,
  ),
  rowsOf(
    'second_me_invocations',
    { a: '', b: 0 },
    `select id a, 0 b, id invocation_id, status, prompt, reply, tokens_used, latency_ms, fallback, idempotency_key,
            created_at, finished_at
     from secondme_invocations where user_id = :user and (id, 0) > (:a, :b) order by id limit :limit`,
  ),
];

/**
 * Deletes invocations with their messages, then the session with what is left in it. A worker that is at one of them
 * is told, and finds nothing to store its result in; a job that waits for one ends by itself, and holds its id alone.
 */
export function createForgetSecondMe(news: SecondMeNews): Forget {
  return async ({ db }, { userId }, size) => {
    const { ended, deleted } = await db.transaction(async (trx) => {
      await lockUser(trx, userId);
      const invocations = await rows<{ id: string; active: boolean }>(
        trx,
        `with gone as (
           delete from secondme_invocations where id = any(array(
             select id from secondme_invocations where user_id = :userId order by id limit :size))
           returning id, finished_at is null active
         ), said as (delete from secondme_messages where invocation_id in (select id from gone))
         select * from gone`,
        { userId, size },
      );
      const ended = invocations.filter(({ active }) => active).map(({ id }) => id);
      if (invocations.length > 0) return { ended, deleted: invocations.length };
      const said = await change(trx, {
        table: 'secondme_messages',
        act: 'delete from secondme_messages',
        where: 'session_id in (select id from secondme_sessions where user_id = :userId)',
        userId,
        size,
      });
      if (said > 0) return { ended, deleted: said };
      const sessions = await rows(trx, 'delete from secondme_sessions where user_id = ? returning 1', [
        userId,
      ]);
      return { ended, deleted: sessions.length };
    });
    for (const id of ended) {
      news.tell('secondme.cancel', id);
      news.tell('secondme.finished', id);
    }
    return deleted;
  };
}
