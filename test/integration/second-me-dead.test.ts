/** Second Me when an invocation kills its workers, and when one user or all of them ask too much. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { freePort } from '../../dev/services/programs.ts';
import { createDb, rows } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createInvocation, lockUser } from '../../src/second-me/second-me.repo.ts';
import { finishInvocation } from '../../src/second-me/work.repo.ts';
import { startFakeAgents } from '../chaos/agents.ts';
import type { FakeAgents } from '../chaos/agents.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createRest } from '../support/rest.ts';
import { until } from '../support/until.ts';

const ASYNC = { Prefer: 'respond-async' };
const ALICE = 'u_alice';
const newId = createIds();

let agents: FakeAgents;
let city: City;
let db: Db;
let ops: ReturnType<typeof createRest>;

const open = async (role: 'all' | 'api') => {
  const opsPort = await freePort();
  agents = await startFakeAgents();
  city = await startCity({
    env: { ROLE: role, OPS_PORT: String(opsPort), AGENTS_SERVICE_URL: agents.url },
  });
  db = createDb(city.database.url, createLogger('silent'));
  ops = createRest(`http://127.0.0.1:${opsPort}`, undefined);
};

afterEach(async () => {
  await db.destroy();
  await city.stop();
  await agents.stop();
});

/** Stores a prompt whose last worker has just died, `crashes` not counting that one, before a sweep can see it. */
const storeAbandoned = (userId: string, prompt: string, crashes: number, key?: string): Promise<string> =>
  db.transaction(async (trx) => {
    const ids = { id: newId('sminv'), messageId: newId('smmsg'), sessionId: newId('smsess') };
    const { id } = await createInvocation(trx, { ...ids, userId, key, prompt });
    await trx.raw(
      `update secondme_invocations set status = 'running', lease_until = now() - interval '1 s',
         attempt = ?::integer + 1, crashes = ? where id = ?`,
      [crashes, crashes, id],
    );
    return id;
  });

const STALE = {
  status: 'succeeded' as const,
  reply: 'stale',
  tokens_used: 1,
  latency_ms: 1,
  fallback: false,
  error: null,
};

describe('an invocation that kills its workers', () => {
  beforeEach(() => open('all'));

  test('is dead after three, failed for its user, and an operator gives it another life', async () => {
    const alice = await city.rest(ALICE);
    const socket = await city.socket('/rooms', ALICE);
    const id = await storeAbandoned(ALICE, 'a secret', 2, 'the-key');
    await socket.next('secondme.status', ({ status }) => status === 'failed');
    expect(await socket.next('secondme.reply')).toEqual({
      invocation_id: id,
      status: 'failed',
      reply: null,
      tokens_used: null,
      latency_ms: null,
      fallback: false,
    });
    expect(agents.calls(id)).toBe(0);
    expect((await alice('GET', `/secondme/invocations/${id}`)).body).toMatchObject({
      status: 'failed',
      reply: null,
    });
    expect((await alice('GET', '/secondme/history')).body).toEqual([]);
    const { body } = await ops('GET', '/second-me/dead');
    expect(body).toEqual({
      dead: [
        {
          invocation_id: id,
          user_id: ALICE,
          attempts: 3,
          reason: 'poison',
          created_at: expect.any(String),
          died_at: expect.any(String),
        },
      ],
    });
    expect((await ops('GET', '/metrics')).body).toContain('city_invocations_total{outcome="dead"} 1');

    agents.mode('hang');
    const requeued = await ops('POST', `/second-me/dead/${id}/requeue`);
    expect([requeued.status, requeued.body]).toEqual([200, { invocation_id: id, status: 'queued' }]);
    await until(() => agents.held().length, 'the call begins');
    // Whatever the workers of the first life still have to say is void.
    for (const attempt of [1, 2, 3, 4]) {
      const claim = { id, user_id: ALICE, prompt: 'a secret', attempt };
      expect((await finishInvocation(db, claim, STALE, newId('smmsg'))).stored).toBe(false);
    }
    await agents.release();
    const again = await alice(
      'POST',
      '/secondme/invoke',
      { prompt: 'a secret' },
      { 'Idempotency-Key': 'the-key' },
    );
    expect([again.status, again.body.invocation_id, again.body.reply]).toEqual([200, id, 'Echo: a secret']);
    expect((await ops('GET', '/second-me/dead')).body).toEqual({ dead: [] });
    expect(
      await rows(db, 'select role, content from secondme_messages where invocation_id = ? order by n', [id]),
    ).toEqual([
      { role: 'user', content: 'a secret' },
      { role: 'assistant', content: 'Echo: a secret' },
    ]);
    expect(agents.calls(id)).toBe(1);
    socket.close();
  });

  test('only the dead are requeued', async () => {
    const alice = await city.rest(ALICE);
    const { body } = await alice('POST', '/secondme/invoke', { prompt: 'x' });
    const answers = await Promise.all(
      [body.invocation_id, 'sminv_unknown'].map((id) => ops('POST', `/second-me/dead/${id}/requeue`)),
    );
    expect(answers.map(({ status, body: { code } }) => [status, code])).toEqual([
      [409, 'conflict'],
      [404, 'not_found'],
    ]);
    expect(agents.calls()).toBe(1);
  });

  test('those that have died with it twice run one at a time, and hold up nobody else', async () => {
    agents.mode('hang');
    const suspects = await Promise.all(
      ['u_1', 'u_2', 'u_3'].map((user) => storeAbandoned(user, 'suspect', 1)),
    );
    await until(() => agents.held().length === 1, 'the first suspect is called');
    await (
      await city.rest(ALICE)
    )('POST', '/secondme/invoke', { prompt: 'innocent' }, ASYNC);
    await until(() => agents.held().some(({ input }) => input === 'innocent'), 'the innocent is called');
    for (let done = 1; done <= 3; done++) {
      const running = await until(
        () => agents.held().find(({ input }) => input === 'suspect'),
        'a suspect is called',
      );
      expect(agents.log().filter(({ input }) => input === 'suspect')).toHaveLength(done);
      await agents.release(running.key);
    }
    for (const id of suspects) {
      await until(async () => {
        const [row] = await rows<{ status: string }>(
          db,
          'select status from secondme_invocations where id = ?',
          [id],
        );
        return row!.status === 'succeeded';
      }, `${id} finishes`);
    }
    await agents.release();
  });
});

describe('asking too much', () => {
  beforeEach(() => open('api'));

  test('five thousand unfinished in the city are the limit; what a key was used for is still answered', async () => {
    const alice = await city.rest(ALICE);
    const first = await alice(
      'POST',
      '/secondme/invoke',
      { prompt: 'x' },
      { ...ASYNC, 'Idempotency-Key': 'k' },
    );
    await db.raw(
      `insert into secondme_invocations (id, user_id, prompt, status)
       select 'sminv_' || n, 'u_' || n / 10, 'x', 'queued' from generate_series(1, 4999) n`,
    );
    const refused = await alice('POST', '/secondme/invoke', { prompt: 'y' }, ASYNC);
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const repeated = await alice(
      'POST',
      '/secondme/invoke',
      { prompt: 'x' },
      { ...ASYNC, 'Idempotency-Key': 'k' },
    );
    expect([repeated.status, repeated.body.invocation_id]).toEqual([202, first.body.invocation_id]);
    await db.raw(
      `update secondme_invocations set status = 'cancelled', finished_at = now() where id = 'sminv_1'`,
    );
    expect((await alice('POST', '/secondme/invoke', { prompt: 'y' }, ASYNC)).status).toBe(202);
  });

  test('a flood of one user holds up nobody else, and its end is refused at once', async () => {
    const [alice, bob] = await Promise.all([city.rest(ALICE), city.rest('u_bob')]);
    const held = await db.transaction();
    await lockUser(held, ALICE);
    const flood = Array.from({ length: 300 }, async () => {
      return (await alice('POST', '/secondme/invoke', { prompt: 'x' }, ASYNC)).status;
    });
    await Promise.any(
      flood.map(async (answer) => (await answer) === 429 || Promise.reject(new Error('not yet'))),
    );
    expect((await bob('POST', '/secondme/invoke', { prompt: 'x' }, ASYNC)).status).toBe(202);
    await held.rollback();
    expect((await Promise.all(flood)).filter((status) => status === 202)).toHaveLength(12);
  });
});
