/** A Redis that answers and refuses: to the city it is away, and health says so until it serves again. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../dev/services/programs.ts';
import type { Service } from '../../dev/services/programs.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

const ROOM = '/city/rooms/general';

let folder: string;
let server: Service;
/** Of a user of its own, whom no trouble shuts out. */
let operator: Redis;
let city: City;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-redis-'));
  server = await startRedis({ dataDir: folder, durable: false, log: () => {} });
  operator = new Redis(server.url, { username: 'operator', password: 'x', lazyConnect: true });
  const first = new Redis(server.url);
  await first.call('ACL', 'SETUSER', 'operator', 'on', 'nopass', '~*', '&*', '+@all');
  first.disconnect();
  await operator.connect();
  city = await startCity({ redisUrl: server.url });
}, 60_000);
afterAll(async () => {
  await city.stop();
  operator.disconnect();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

const tell = (...commands: string[]) =>
  Promise.all(commands.map((command) => operator.call(...(command.split(' ') as [string]))));
/** Those who are connected are asked who they are only when they come again. */
const killAll = () => tell('CLIENT KILL TYPE normal SKIPME yes', 'CLIENT KILL TYPE pubsub');

describe.each<[string, { begin(): Promise<unknown>; end(): Promise<unknown>; reads?: boolean }]>([
  [
    'MASTERDOWN, as a replica that has lost its master',
    {
      begin: async () =>
        tell('CONFIG SET replica-serve-stale-data no', `REPLICAOF 127.0.0.1 ${await freePort()}`),
      end: () => tell('REPLICAOF NO ONE'),
    },
  ],
  [
    'NOREPLICAS, as a master that has lost its replicas',
    {
      begin: () => tell('CONFIG SET min-replicas-to-write 1'),
      end: () => tell('CONFIG SET min-replicas-to-write 0'),
      reads: true,
    },
  ],
  [
    'NOAUTH, with a password that it did not have before',
    {
      begin: async () => {
        await tell('CONFIG SET requirepass other');
        await killAll();
      },
      end: () => tell('ACL SETUSER default resetpass nopass'),
    },
  ],
  [
    'NOPERM, with a user that may nothing any more',
    { begin: () => tell('ACL SETUSER default -@all'), end: () => tell('ACL SETUSER default +@all') },
  ],
  [
    'NOPERM in a script, with a user that may only read',
    {
      begin: () => tell('ACL SETUSER default -@write'),
      end: () => tell('ACL SETUSER default +@all'),
      reads: true,
    },
  ],
])('%s', (_, { begin, end, reads = false }) => {
  afterEach(end);

  it('is missed as one that is away, and used again as soon as it serves', async () => {
    const rest = await city.rest('u_anna');
    const [rooms, presence] = await Promise.all([
      city.socket('/rooms', 'u_anna'),
      city.socket('/presence', 'u_anna'),
    ]);
    await rooms.call('room.join', { room_id: 'general' });
    const ready = async () => {
      const { status, body } = await rest('GET', '/health/ready');
      return [status, body.status, body.redis].join(' ');
    };
    await until(async () => (await ready()) === '200 ok up', 'all is well');

    await begin();
    await until(async () => (await ready()) === '200 degraded down', 'health says so');

    const calls: [string, string, number, object?][] = [
      ['GET', '/city/rooms', 200],
      ['GET', ROOM, 200],
      ['GET', `${ROOM}/members`, 200],
      ['GET', '/city/home', 200],
      ['GET', '/city/feed?scope=mine', 200],
      ['POST', `${ROOM}/join`, 200],
      ['POST', `${ROOM}/messages`, 201, { body: 'still here' }],
      ['PUT', `${ROOM}/read`, 200, { seq: 1 }],
      ['POST', '/city/rooms/science/join', 200],
      ['POST', '/city/rooms/science/leave', 200],
      ['POST', '/secondme/invoke', 202, { prompt: 'later' }],
    ];
    for (const [method, path, wanted, body] of calls) {
      const { status } = await rest(method, path, body, { prefer: 'respond-async' });
      expect([method, path, status]).toEqual([method, path, wanted]);
    }
    expect((await rest('GET', ROOM)).body).toMatchObject({ members_online: 1, online_members: ['u_anna'] });
    const late = await city.socket('/rooms', 'u_anna');
    expect((await late.call('room.join', { room_id: 'general' })).members_online).toBe(1);
    await rooms.call('room.message.send', { room_id: 'general', body: 'to you' });
    await late.next('room.message', ({ message }) => message.body === 'to you');
    late.close();

    const refused = { ok: false, error: { code: 'unavailable', retryable: true } };
    expect(await presence.ack('presence.heartbeat', {})).toMatchObject(refused);
    if (!reads) {
      expect(await presence.ack('presence.subscribe', { user_ids: ['u_bob'] })).toMatchObject(refused);
      for (const path of ['/city/presence', '/city/presence/u_anna']) {
        const answer = await rest('GET', path);
        expect([path, answer.status, answer.body.code]).toEqual([path, 503, 'unavailable']);
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      }
    }

    await end();
    await until(async () => (await ready()) === '200 ok up', 'health is ok');
    expect(await presence.ack('presence.heartbeat', {})).toMatchObject({ ok: true });
    await until(
      async () => (await rest('GET', '/city/presence/u_anna')).body.status === 'online',
      'u_anna is registered again',
    );
    for (const socket of [rooms, presence]) socket.close();
  });
});
