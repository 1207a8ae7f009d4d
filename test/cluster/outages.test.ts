/** What goes on, what waits and what is refused while Redis or PostgreSQL is away. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAgentsCore } from '../../dev/agents-core.ts';
import { freePort } from '../../dev/services/programs.ts';
import type { Service } from '../../dev/services/programs.ts';
import { startPostgres } from '../../dev/services/postgres.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

const ROOM = 'room_city_general';
const options = { durable: false, log: () => {} };
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-outage-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('without Redis', () => {
  let redis: Service;
  let agents: Awaited<ReturnType<typeof startAgentsCore>>;
  let city: City;
  const start = async (port?: number) => {
    return startRedis({
      dataDir: join(folder, 'redis'),
      ...options,
      ...(port === undefined ? {} : { port }),
    });
  };
  beforeAll(async () => {
    [redis, agents] = await Promise.all([start(), startAgentsCore({ delayMs: 0 })]);
    city = await startCity({
      redisUrl: redis.url,
      nodes: [{}, {}],
      env: { AGENTS_SERVICE_URL: agents.url },
    });
  });
  afterAll(async () => {
    await city.stop();
    await Promise.all([redis.stop(), agents.stop()]);
  });

  it('rooms go on, presence says so, Second Me answers later, and everything heals', async () => {
    const [here, there] = await Promise.all([
      city.socket('/rooms', 'u_here', 0),
      city.socket('/rooms', 'u_there', 1),
    ]);
    await Promise.all([here, there].map((socket) => socket.call('room.join', { room_id: ROOM })));
    const presence = await city.socket('/presence', 'u_here', 0);
    await presence.next('presence.bulk_update');
    const rest = await city.rest('u_here', 0);
    const elsewhere = await city.socket('/rooms', 'u_here', 1);

    await redis.stop();
    await until(async () => (await rest('GET', '/health/ready')).body.status === 'degraded', 'degraded');

    const { message } = await here.call('room.message.send', { room_id: ROOM, body: 'no redis' });
    expect((await here.next('room.message')).message).toEqual(message);
    expect((await there.next('room.message')).message).toEqual(message);
    const join = await there.call('room.join', { room_id: ROOM });
    expect(join.messages.at(-1)).toEqual(message);
    for (const path of [
      '/city/rooms',
      `/city/rooms/${ROOM}`,
      '/city/feed',
      '/city/home',
      `/city/rooms/${ROOM}/members`,
    ]) {
      expect([path, (await rest('GET', path)).status]).toEqual([path, 200]);
    }
    expect(await presence.ack('presence.heartbeat', {})).toMatchObject({
      ok: false,
      error: { code: 'unavailable', retryable: true },
    });
    const refused = await rest('GET', '/city/presence');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    const accepted = await rest('POST', '/secondme/invoke', { prompt: 'later, please' });
    expect(accepted).toMatchObject({ status: 202, body: { status: 'queued' } });

    const { invocation_id } = (await rest('POST', '/secondme/invoke', { prompt: 'never mind' })).body;
    expect((await rest('DELETE', `/secondme/invocations/${invocation_id}`)).status).toBe(200);
    const told = await elsewhere.next('secondme.status', (news) => news.invocation_id === invocation_id);
    expect(told).toEqual({ invocation_id, status: 'cancelled' });

    redis = await start(Number(new URL(redis.url).port));
    const path = `/secondme/invocations/${accepted.body.invocation_id}`;
    const reply = await until(
      async () => {
        const { body } = await rest('GET', path);
        return body.status === 'succeeded' && body.reply;
      },
      'the reply',
      20_000,
    );
    expect(typeof reply).toBe('string');
    await until(async () => (await presence.ack('presence.heartbeat', {})).ok, 'a heartbeat');
    await until(async () => {
      const { body } = await rest('GET', `/city/rooms/${ROOM}`);
      return body.members_online === 2;
    }, 'the counts of both nodes');
    for (const socket of [here, there, elsewhere, presence]) socket.close();
  }, 60_000);
});

describe('without PostgreSQL', () => {
  let postgres: Service;
  let city: City;
  let port: number;
  const start = () => startPostgres({ dataDir: join(folder, 'postgres'), ...options, durable: true, port });
  beforeAll(async () => {
    port = await freePort();
    postgres = await start();
    city = await startCity({ databaseUrl: postgres.url });
  });
  afterAll(async () => {
    await city.stop();
    await postgres.stop();
  });

  it('refuses with Retry-After, keeps sockets, and heals', async () => {
    const socket = await city.socket('/rooms', 'u_patient');
    await socket.call('room.join', { room_id: 'general' });
    const rest = await city.rest('u_patient');
    await postgres.stop();

    const refused = await rest('GET', '/city/rooms');
    expect(refused).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const send = { room_id: 'general', body: 'kept by the sender', client_id: 'once' };
    expect(await socket.ack('room.message.send', send)).toMatchObject({
      ok: false,
      error: { code: 'unavailable', retryable: true },
    });
    expect((await rest('GET', '/health/ready')).status).toBe(503);
    expect((await rest('GET', '/health/live')).status).toBe(200);

    postgres = await start();
    const sent = await until(async () => {
      const answer = await socket.ack('room.message.send', send);
      return answer.ok && answer.data.message;
    }, 'a message after the restart');
    expect((await socket.next('room.message')).message).toEqual(sent);
    expect(socket.raw.connected).toBe(true);
    socket.close();
  }, 60_000);
});
