/** GET /me/export: all that is kept about the caller and nothing of anybody else, streamed however long it is. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import pg from 'pg';
import { startAgentsCore } from '../../dev/agents-core.ts';
import { PersonalExport } from '../../src/contract/me.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { expectShape } from '../support/shape.ts';
import { until } from '../support/until.ts';

const GENERAL = 'room_city_general';

let agents: Awaited<ReturnType<typeof startAgentsCore>>;
let city: City;
let sql: pg.Client;
beforeAll(async () => {
  agents = await startAgentsCore({ delayMs: 0 });
  city = await startCity({ env: { AGENTS_SERVICE_URL: agents.url } });
  sql = new pg.Client({ connectionString: city.database.url });
  await sql.connect();
});
afterAll(async () => {
  await sql.end();
  await city.stop();
  await agents.stop();
});

/** `count` messages of a user in a room of their own, by SQL: with a body that says which one it is. */
async function plant(userId: string, slug: string, count: number, bytes = 100): Promise<void> {
  const rest = await city.rest(userId);
  await rest('POST', '/city/rooms', { name: slug, slug });
  await sql.query(
    `insert into city_room_messages (id, room_id, author_user_id, body, seq, change_seq, username, sender_id)
     select 'm_city_7' || upper(lpad(to_hex(n), 25, '0')), 'room_city_' || $2::text, $1::text, rpad(n || ' of ' || $2, $4, '.'), n, n, 'Planted', $1
     from generate_series(1, $3::int) n`,
    [userId, slug, count, bytes],
  );
  await sql.query('update city_room_heads set last_seq = $2, last_change_seq = $2 where room_id = $1', [
    `room_city_${slug}`,
    count,
  ]);
}

/** The answer to an export as it comes, not yet read. */
async function open(userId: string, node = 0): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${await city.token(userId)}` };
  return new Promise((resolve, reject) => {
    request(`${city.url(node)}/me/export`, { headers }, resolve)
      .on('error', reject)
      .end();
  });
}
/** As soon as the node has noticed that the reader of an earlier one has gone. */
const openNext = (userId: string) =>
  until(async () => {
    const response = await open(userId);
    if (response.statusCode === 200) return response.pause();
    response.resume();
    return undefined;
  }, 'an export');
async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += piece;
  return text;
}

it('has everything that the caller is in, and nothing of others', async () => {
  const anna = await city.rest('u_anna', 0, { name: 'Anna', roles: ['moderator'] });
  const bob = await city.rest('u_bob', 0, { name: 'Bob' });
  const chief = await city.rest('u_chief', 0, { roles: ['admin'] });
  const socket = await city.socket('/presence', 'u_anna', 0, { name: 'Anna', roles: ['moderator'] });
  await anna('POST', '/city/rooms', { name: 'Annas', slug: 'annas', description: 'hers' });
  const sent = (await anna('POST', '/city/rooms/annas/messages', { body: 'mine', client_id: 'a-1' })).body;
  const general = (await anna('POST', `/city/rooms/${GENERAL}/messages`, { body: 'public' })).body;
  const gone = (await anna('POST', `/city/rooms/${GENERAL}/messages`, { body: 'regretted' })).body;
  await anna('DELETE', `/city/rooms/${GENERAL}/messages/${gone.id}`);
  const bobs = (await bob('POST', `/city/rooms/${GENERAL}/messages`, { body: 'Bob’s secret' })).body;
  await anna('POST', '/city/reports', { room_id: GENERAL, message_id: bobs.id, reason: 'rude' });
  await bob('POST', '/city/reports', { room_id: GENERAL, message_id: general.id, reason: 'Bob’s opinion' });
  await anna('POST', '/city/rooms/annas/moderation', { action: 'mute', user_id: 'u_bob', reason: 'loud' });
  const ban = { action: 'ban', user_id: 'u_anna', reason: 'enough' };
  expect((await chief('POST', '/city/rooms/welcome/moderation', ban)).status).toBe(200);
  const asked = await anna(
    'POST',
    '/secondme/invoke',
    { prompt: 'remember me' },
    { 'Idempotency-Key': 'k-1' },
  );
  await bob('POST', '/secondme/invoke', { prompt: 'Bob’s question' });

  const answer = await anna('GET', '/me/export');
  expect(answer.status).toBe(200);
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/);
  expect(answer.headers.get('cache-control')).toBe('no-store');
  const all = expectShape(PersonalExport, answer.body);
  const plain = (list: object[], ...fields: string[]) =>
    list.map((item) => Object.fromEntries(fields.map((field) => [field, item[field as keyof typeof item]])));
  expect(all).toMatchObject({
    user_id: 'u_anna',
    profile: [{ name: 'Anna', roles: ['moderator'], tokens_not_before: null }],
    presence: [{ user_id: 'u_anna', status: 'online' }],
    rooms_created: [{ id: 'room_city_annas', name: 'Annas', description: 'hers' }],
    memberships: [{ room_id: 'room_city_annas' }, { room_id: GENERAL }],
    read_marks: [
      { room_id: 'room_city_annas', last_read_seq: 1 },
      { room_id: GENERAL, last_read_seq: gone.seq },
    ],
    messages: [sent, general, { id: gone.id, body: '', deleted_at: expect.any(String) }],
    reports: [{ message_id: bobs.id, reason: 'rude' }],
    restrictions: [{ room_id: 'room_city_welcome', kind: 'ban', until: null }],
    moderated: [{ action: 'ban', reason: 'enough' }],
    moderation: [{ action: 'mute', user_id: 'u_bob', reason: 'loud' }],
    second_me_sessions: [{}],
    second_me_messages: [
      { role: 'user', content: 'remember me' },
      { role: 'assistant', content: asked.body.reply },
    ],
    second_me_invocations: [
      { prompt: 'remember me', reply: asked.body.reply, idempotency_key: 'k-1', status: 'succeeded' },
    ],
  });
  expect(plain(all.feed_events, 'kind', 'room_id')).toEqual([
    { kind: 'room_created', room_id: 'room_city_annas' },
    { kind: 'room_message', room_id: 'room_city_annas' },
    { kind: 'room_message', room_id: GENERAL },
  ]);
  expect(JSON.stringify(all)).not.toMatch(/Bob|u_chief/);
  socket.close();
});

it('of somebody whom nobody knows is empty lists', async () => {
  const { body } = await (await city.rest('u_nobody'))('GET', '/v1/me/export');
  const {
    user_id,
    exported_at: _,
    profile: _profile,
    presence,
    ...lists
  } = expectShape(PersonalExport, body);
  expect(user_id).toBe('u_nobody');
  expect(presence).toMatchObject([{ status: 'offline', last_seen: null }]);
  expect(Object.values(lists).flat()).toEqual([]);
});

describe('a long history', () => {
  const COUNT = 30_000;
  beforeAll(() => plant('u_long', 'long', COUNT), 120_000);

  it('comes whole, in order, each message once', async () => {
    const { messages } = JSON.parse(await textOf(await open('u_long'))) as { messages: { seq: number }[] };
    expect(messages).toHaveLength(COUNT);
    expect(messages.every(({ seq }, index) => seq === index + 1)).toBe(true);
  }, 120_000);

  it('is read no faster than it is taken, and by one at a time', async () => {
    const pages = async () =>
      Number(
        (
          await sql.query(
            `select idx_tup_fetch n from pg_stat_user_tables where relname = 'city_room_messages'`,
          )
        ).rows[0].n,
      );
    const response = await open('u_long');
    response.pause();
    const again = await (await city.rest('u_long'))('GET', '/me/export');
    expect(again).toMatchObject({ status: 429, body: { code: 'rate_limited' } });
    expect(again.headers.get('retry-after')).toBe('5');
    // Nothing is read any more, well before the end, until somebody takes it.
    let seen = -1;
    await until(
      async () => {
        const before = seen;
        await sql.query('select pg_sleep(1), pg_stat_clear_snapshot()');
        seen = await pages();
        return seen === before;
      },
      'waiting for its reader',
      30_000,
    );
    const rest = await textOf(response);
    expect(JSON.parse(rest).messages).toHaveLength(COUNT);
    // A connection of PostgreSQL says what it has read once a second, and when it has been idle for ten.
    await until(
      async () => {
        await sql.query('select pg_sleep(0.1), pg_stat_clear_snapshot()');
        return (await pages()) - seen > COUNT / 2;
      },
      'the rest was read',
      30_000,
    );
  }, 120_000);

  it('a reader who goes away leaves nothing behind', async () => {
    (await open('u_long')).destroy();
    (await openNext('u_long')).destroy();
  });

  it('that fails in the middle never looks like all of it', async () => {
    const response = await openNext('u_long');
    await sql.query('alter table city_room_messages rename to city_room_messages_away');
    try {
      await expect(textOf(response)).rejects.toThrow(/aborted/);
      // What has not begun is an error like any other.
      expect((await (await city.rest('u_long'))('GET', '/me/export')).status).toBe(500);
    } finally {
      await sql.query('alter table city_room_messages_away rename to city_room_messages');
    }
    (await openNext('u_long')).destroy();
  }, 60_000);

  it('does not keep a node that stops', async () => {
    await city.start();
    const response = await open('u_long', 1);
    response.pause();
    const began = Date.now();
    await city.apps.pop()!.stop();
    expect(Date.now() - began).toBeLessThan(4_000);
    await expect(textOf(response)).rejects.toThrow(/aborted/);
  }, 30_000);
});
