/** How long messages and the feed are kept: what is older goes by itself, in batches, and nothing else is missed. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { ConfigError, readConfig } from '../../src/config.ts';
import type { Message } from '../../src/contract/messages.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

/** More than two batches. */
const OLD = 1_100;
const YOUNG = 5;
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

/** A city with a room of old and young messages, not yet looked at by anybody who removes them. */
async function prepare(city: City, sql: pg.Client) {
  const anna = await city.rest('u_anna', 0, { name: 'Anna' });
  await anna('POST', '/city/rooms', { name: 'Old', slug: 'old' });
  const socket = await city.socket('/rooms', 'u_anna', 0, { name: 'Anna' });
  const send = (n: number) =>
    socket.raw.emit('room.message.send', { room_id: 'old', body: `text ${n}`, client_id: `c-${n}` });
  for (const n of upTo(OLD + YOUNG)) send(n);
  await until(
    async () => (await anna('GET', '/city/rooms/old')).body.room.last_seq === OLD + YOUNG,
    'all sent',
    20_000,
  );
  await until(
    async () => (await sql.query('select count(*)::int n from city_timelines')).rows[0].n >= OLD + YOUNG,
    'timelines',
    20_000,
  );
  await sql.query(
    `update city_room_messages set created_at = created_at - interval '31 days'
     where room_id = 'room_city_old' and seq <= ${OLD}`,
  );
  return { anna, socket };
}

async function historyOf(rest: Awaited<ReturnType<City['rest']>>): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const after = messages.at(-1)?.seq ?? 0;
    const { body } = await rest('GET', `/city/rooms/old/messages?after_seq=${after}&limit=200`);
    messages.push(...body.messages);
    if (!body.has_more) return messages;
  }
}

describe('messages', () => {
  let city: City;
  let sql: pg.Client;
  beforeAll(async () => {
    city = await startCity();
    sql = new pg.Client({ connectionString: city.database.url });
    await sql.connect();
  });
  afterAll(async () => {
    await sql.end();
    await city.stop();
  });

  it('that are older are empty, where they were; what is younger is as it was', async () => {
    const { anna, socket } = await prepare(city, sql);
    const { room } = await socket.call('room.join', { room_id: 'old' });
    const before = await historyOf(anna);
    // Two at once, so that they meet.
    await Promise.all([1, 2].map(() => city.start({ RETENTION_MESSAGES_DAYS: '30' })));
    const mark = `select upto_seq::int n from city_retention where room_id = 'room_city_old'`;
    await until(async () => (await sql.query(mark)).rows[0]?.n === OLD, 'emptied', 30_000);

    const after = await historyOf(anna);
    expect(after.map(({ seq }) => seq)).toEqual(upTo(OLD + YOUNG));
    expect(after.slice(OLD)).toEqual(before.slice(OLD));
    for (const [index, message] of after.slice(0, OLD).entries()) {
      const { body: _, deleted_at: _at, ...same } = before[index]!;
      expect(message).toMatchObject({ ...same, body: '', deleted_at: expect.any(String) });
    }
    const texts = `select t::text line from city_room_messages t union all select t::text from city_feed_events t`;
    const { rows } = await sql.query<{ line: string }>(texts);
    expect(rows.filter(({ line }) => /text (\d|\d\d|\d\d\d|10\d\d)\b/.test(line))).toEqual([]);

    // Nobody was told, no number was taken, and a key that was used makes no second message.
    expect((await anna('GET', '/city/rooms/old')).body.room).toMatchObject({
      last_seq: OLD + YOUNG,
      last_change_seq: room.last_change_seq,
    });
    await socket.call('room.message.send', { room_id: 'old', body: 'now' });
    await socket.next('room.message', ({ message }) => message.body === 'now');
    expect(socket.of('room.message.deleted')).toEqual([]);
    const again = await anna('POST', '/city/rooms/old/messages', { body: 'text 1', client_id: 'c-1' });
    expect(again.status).toBe(422);
    expect(await anna('PATCH', `/city/rooms/old/messages/${after[0]!.id}`, { body: 'back' })).toMatchObject({
      status: 409,
    });
    const fed = `select count(*)::int n from city_feed_events where room_id = 'room_city_old' and removed_at is null`;
    // The room's, the young ones and the last.
    expect((await sql.query(fed)).rows[0].n).toBe(1 + YOUNG + 1);
    socket.close();
  }, 90_000);
});

describe('the feed', () => {
  let city: City;
  let sql: pg.Client;
  beforeAll(async () => {
    city = await startCity();
    sql = new pg.Client({ connectionString: city.database.url });
    await sql.connect();
  });
  afterAll(async () => {
    await sql.end();
    await city.stop();
  });

  it('forgets what is older, and timelines with it; messages stay', async () => {
    const { anna, socket } = await prepare(city, sql);
    const aged = `set created_at = created_at - interval '40 days'`;
    await sql.query(`update city_events ${aged}`);
    await sql.query(`update city_room_messages ${aged} where room_id <> 'room_city_old'`);
    const before = await historyOf(anna);
    await city.start({ RETENTION_FEED_DAYS: '30' });
    const count = async (table: string) =>
      (await sql.query(`select count(*)::int n from ${table}`)).rows[0].n;
    await until(async () => (await count('city_feed_events')) === YOUNG, 'events', 30_000);
    await until(async () => (await count('city_timelines')) === YOUNG, 'timelines', 30_000);
    for (const scope of ['city', 'mine']) {
      const { body } = await anna('GET', `/city/feed?scope=${scope}&limit=200`);
      expect(body.map(({ payload }: { payload: { body: string } }) => payload.body)).toEqual(
        upTo(YOUNG)
          .map((n) => `text ${OLD + n}`)
          .reverse(),
      );
    }
    expect(await historyOf(anna)).toEqual(before);
    socket.close();
  }, 90_000);
});

describe('the configuration', () => {
  const env = { DATABASE_URL: 'postgres://localhost/x', REDIS_URL: 'redis://localhost' };

  it('keeps everything unless it says otherwise', () => {
    expect(readConfig(env).retention).toEqual({ messagesDays: undefined, feedDays: undefined });
    const set = readConfig({ ...env, RETENTION_MESSAGES_DAYS: '365', RETENTION_FEED_DAYS: '30' });
    expect(set.retention).toEqual({ messagesDays: 365, feedDays: 30 });
  });

  it.each(['0', '-1', '1.5', 'a year', '100000'])('refuses %s with a readable line', (given) => {
    const read = () => readConfig({ ...env, RETENTION_MESSAGES_DAYS: given, RETENTION_FEED_DAYS: given });
    expect(read).toThrow(ConfigError);
    expect(read).toThrow(
      /^RETENTION_MESSAGES_DAYS: must be whole days.*\nRETENTION_FEED_DAYS: must be whole days/,
    );
  });
});
