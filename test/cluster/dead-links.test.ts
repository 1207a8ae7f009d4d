/** Links that die without a word: nothing is refused for longer than it takes to notice. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { freePort } from '../../dev/services/programs.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';
import type { Proxy } from '../support/proxy.ts';
import { leaseRedis } from '../support/redis.ts';
import type { RedisLease } from '../support/redis.ts';
import { until } from '../support/until.ts';

const NOTICED_MS = 30_000;

let city: City;
let opsPort: number;
let database: TestDatabase;
let redis: RedisLease;
let proxies: { postgres: Proxy; redis: Proxy };
const through = (url: string, { port }: Proxy) => Object.assign(new URL(url), { port: String(port) }).href;

beforeAll(async () => {
  [database, redis] = await Promise.all([createDatabase(), leaseRedis()]);
  proxies = {
    postgres: await startProxy(Number(new URL(database.url).port)),
    redis: await startProxy(Number(new URL(redis.url).port)),
  };
  opsPort = await freePort();
  city = await startCity({
    nodes: [{ OPS_PORT: String(opsPort) }],
    databaseUrl: through(database.url, proxies.postgres),
    redisUrl: through(redis.url, proxies.redis),
  });
});
afterAll(async () => {
  await city.stop();
  await Promise.all([proxies.postgres.close(), proxies.redis.close()]);
  await Promise.all([database.drop(), redis.release()]);
});

it('connections to PostgreSQL that died are replaced, also under traffic that never lets them rest', async () => {
  const rest = await city.rest('u_reader');
  const round = () => Promise.all(Array.from({ length: 6 }, () => rest('GET', '/city/rooms')));
  expect((await round()).map(({ status }) => status)).toEqual(Array(6).fill(200));
  proxies.postgres.strand();
  await until(
    async () => (await round()).every(({ status }) => status === 200),
    'a round of answers',
    NOTICED_MS,
  );
  const sent = await rest('POST', '/city/rooms/general/messages', { body: 'after the silence' });
  expect(sent.status).toBe(201);
}, 60_000);

it('a link to Redis that died is replaced', async () => {
  const socket = await city.socket('/presence', 'u_beating');
  expect(await socket.ack('presence.heartbeat', {})).toMatchObject({ ok: true });
  proxies.redis.strand();
  expect(await socket.ack('presence.heartbeat', {})).toMatchObject({
    ok: false,
    error: { code: 'unavailable' },
  });
  await until(async () => (await socket.ack('presence.heartbeat', {})).ok, 'a heartbeat', NOTICED_MS);
  socket.close();
}, 60_000);

/** How often a room's log was read because news seemed to be missing. */
async function catchUps(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${opsPort}/metrics`)).text();
  return Number(/^city_room_catch_ups_total (\d+)$/m.exec(text)![1]);
}

/** Somebody else on the same Redis, who can say what nodes say. */
async function withStranger(act: (stranger: Server) => Promise<void>): Promise<void> {
  const clients = [new Redis(redis.url), new Redis(redis.url)] as const;
  const number = new URL(redis.url).pathname.slice(1);
  const stranger = new Server({ adapter: createAdapter(...clients, { key: `city-${number}` }) });
  try {
    await act(stranger);
  } finally {
    for (const name of ['/', '/rooms', '/presence']) await stranger.of(name).adapter.close();
    for (const client of clients) client.disconnect();
  }
}

it('news that no handler can take stops nobody', () =>
  withStranger(async (stranger) => {
    const reader = await city.socket('/rooms', 'u_calm');
    await reader.call('room.join', { room_id: 'general' });
    for (const name of ['room-log', 'typing', 'room-closing', 'secondme.finished', 'secondme.cancel']) {
      for (const news of [null, 7, { not: 'news' }, [null]]) stranger.of('/rooms').serverSideEmit(name, news);
    }
    stranger.of('/presence').serverSideEmit('presence-log', { transitions: 'none' });
    const { message } = await reader.call('room.message.send', { room_id: 'general', body: 'still here' });
    expect((await reader.next('room.message')).message).toEqual(message);
    reader.close();
  }));

it('news from beyond the log is no part of it, also when the log gets there', () =>
  withStranger(async (stranger) => {
    const reader = await city.socket('/rooms', 'u_sceptic');
    const { room } = await reader.call('room.join', { room_id: 'general' });
    const room_id = room.id as string;
    const lost = {
      id: 'm_lost',
      room_id,
      seq: room.last_seq + 2,
      change_seq: room.last_change_seq + 2,
      body: 'lost',
    };
    const before = await catchUps();
    stranger.of('/rooms').serverSideEmit('room-log', [lost]);
    await until(async () => (await catchUps()) > before, 'a look into the log');
    const sent = [];
    for (const body of ['one', 'two', 'three']) {
      sent.push((await reader.call('room.message.send', { room_id, body })).message);
    }
    await until(() => reader.of('room.message').length >= 3, 'three messages');
    expect(reader.of('room.message').map(({ message }) => message)).toEqual(sent);
    reader.close();
  }));
