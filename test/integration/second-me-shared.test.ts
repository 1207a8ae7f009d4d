/** Invocations that share a transaction: what befalls one of them is no other's business. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createDb, rows } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createLeases } from '../../src/second-me/leases.ts';
import { createCreation, lockUser } from '../../src/second-me/second-me.repo.ts';
import { createClaims, createEnds } from '../../src/second-me/work.repo.ts';
import type { Claim } from '../../src/second-me/work.repo.ts';
import { createDatabase } from '../support/database.ts';
import { until } from '../support/until.ts';

const USERS = ['u_alice', 'u_bob', 'u_carol', 'u_dave'];
const OPTIONS = { leaseMs: 60_000, suspects: false };
const newId = createIds();
let database: Awaited<ReturnType<typeof createDatabase>>;
let db: Db;
let create: ReturnType<typeof createCreation>;
let claim: ReturnType<typeof createClaims>;
let finish: ReturnType<typeof createEnds>;

beforeEach(async () => {
  database = await createDatabase();
  db = createDb(database.url, createLogger('silent'));
  [create, claim, finish] = [createCreation(db), createClaims(db), createEnds(db)];
});
afterEach(async () => {
  await db.destroy();
  await database.drop();
});

const ask = (userId: string, prompt: string, id = newId('sminv')) =>
  create({ id, messageId: newId('smmsg'), sessionId: newId('smsess'), userId, key: undefined, prompt });
const take = async (id: string): Promise<Claim> => {
  const taken = await claim(id, OPTIONS);
  if (taken?.kind !== 'claimed') throw new Error(`${id} was not claimed`);
  return taken.claim;
};
const end = (of: Claim, reply: string) => {
  const figures = { tokens_used: 1, latency_ms: 1, fallback: false, error: null };
  return finish(of, { status: 'succeeded', reply, ...figures }, newId('smmsg'));
};
const stored = () =>
  rows<{ id: string; status: string; reply: string | null; xmin: string }>(
    db,
    'select id, status, reply, xmin::text from secondme_invocations order by user_id, attempt desc',
  );

test('one whose fence is another attempt stores nothing, the others are finished with it', async () => {
  const asked = await Promise.all(USERS.map((user) => ask(user, 'x')));
  const claims = await Promise.all(asked.map(({ id }) => take(id)));
  // Bob's was taken over by another worker.
  await db.raw('update secondme_invocations set attempt = 2 where user_id = ?', ['u_bob']);
  const next = await ask('u_dave', 'and then');
  const ends = await Promise.all(claims.map((each) => end(each, `for ${each.user_id}`)));
  expect(ends).toEqual([
    { stored: true, next: undefined },
    { stored: false, next: undefined },
    { stored: true, next: undefined },
    { stored: true, next: next.id },
  ]);
  const [, bob, carol, dave] = await stored();
  expect(bob).toMatchObject({ status: 'running', reply: null });
  expect(carol).toMatchObject({ status: 'succeeded', reply: 'for u_carol' });
  expect(dave).toMatchObject({ status: 'succeeded', reply: 'for u_dave' });
  expect(carol!.xmin).toBe(dave!.xmin);
  expect(
    await rows(db, `select user_id from secondme_messages where role = 'assistant' order by user_id`),
  ).toEqual([{ user_id: 'u_alice' }, { user_id: 'u_carol' }, { user_id: 'u_dave' }]);
});

test('one whose user is locked by somebody else waits alone', async () => {
  const order: string[] = [];
  const steps: [string, (user: string) => Promise<unknown>][] = [];
  const ids = new Map<string, string>();
  const claims = new Map<string, Claim>();
  steps.push(['asked', async (user) => ids.set(user, (await ask(user, 'x')).id)]);
  steps.push(['claimed', async (user) => claims.set(user, await take(ids.get(user)!))]);
  steps.push(['ended', async (user) => expect((await end(claims.get(user)!, 'y')).stored).toBe(true)]);
  for (const [name, step] of steps) {
    let late: Promise<unknown> | undefined;
    await db.transaction(async (trx) => {
      await lockUser(trx, 'u_alice');
      const each = USERS.map((user) => step(user).then(() => order.push(`${name} ${user}`)));
      late = each[0];
      await Promise.all(each.slice(1));
      order.push('unlocked');
    });
    await late;
    const last = order.splice(0).slice(-2);
    expect(last).toEqual(['unlocked', `${name} u_alice`]);
  }
  expect((await stored()).map(({ status }) => status)).toEqual(USERS.map(() => 'succeeded'));
});

test('one that cannot be stored is refused alone', async () => {
  const first = await ask('u_alice', 'x');
  const asked = await Promise.allSettled([
    ask('u_bob', 'x'),
    ask('u_carol', 'the id is taken', first.id),
    ask('u_dave', 'x'),
  ]);
  expect(asked.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(await rows(db, 'select user_id from secondme_messages order by user_id')).toEqual([
    { user_id: 'u_alice' },
    { user_id: 'u_bob' },
    { user_id: 'u_dave' },
  ]);
});

test('leases are renewed together, except one that somebody has locked and one that is lost', async () => {
  const asked = await Promise.all(USERS.map((user) => ask(user, 'x')));
  const claims = await Promise.all(asked.map(({ id }) => take(id)));
  await db.raw('update secondme_invocations set attempt = 2 where user_id = ?', ['u_carol']);
  /** Whose lease runs longer than when it was claimed, and which transactions renewed them last. */
  const renewed = async () => {
    const found = await rows<{ user_id: string; xmin: string }>(
      db,
      `select user_id, xmin::text from secondme_invocations
       where lease_until > created_at + interval '1 hour' order by user_id`,
    );
    const users = found.map(({ user_id }) => user_id).join(' ');
    return { users, transactions: new Set(found.map(({ xmin }) => xmin)).size };
  };
  const lost: string[] = [];
  const leases = createLeases({ db, log: createLogger('silent'), leaseMs: 7_200_000, renewMs: 100 });
  const held = await db.transaction(async (trx) => {
    await trx.raw('select from secondme_invocations where user_id = ? for update', ['u_bob']);
    const leasesHeld = claims.map((each) =>
      leases.hold(each, performance.now(), () => lost.push(each.user_id)),
    );
    const together = async () => {
      const { users, transactions } = await renewed();
      return users === 'u_alice u_dave' && transactions === 1;
    };
    await until(together, 'the free ones are renewed in one transaction');
    return leasesHeld;
  });
  await until(
    async () => (await renewed()).users === 'u_alice u_bob u_dave',
    'the locked one is renewed, too',
  );
  for (const lease of held) lease.letGo();
  expect(new Set(lost)).toEqual(new Set(['u_carol']));
});
