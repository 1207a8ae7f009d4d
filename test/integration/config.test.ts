/** The environment: what stops the start, and what the limits allow. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../dev/services/programs.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createDatabase, withDatabase } from '../support/database.ts';
import type { createRest } from '../support/rest.ts';
import type { RestAnswer } from '../support/rest.ts';
import { until } from '../support/until.ts';

/** Runs the server with `env` alone; how it ended and what it said. */
async function run(env: Record<string, string>): Promise<{ code: number | null; lines: string[] }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts'], {
    env: { PATH: process.env.PATH, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, lines: said.split('\n').filter(Boolean) };
}

describe('a wrong environment', () => {
  it('stops the start with one readable line for each problem', async () => {
    const { code, lines } = await run({
      NODE_ENV: 'production',
      PORT: 'http',
      ROLE: 'king',
      DATABASE_URL: 'mysql://localhost/city',
      ALLOWED_ORIGINS: 'https://city.example/path',
      AGENTS_TRANSPORT: 'nats',
    });
    expect(code).toBe(1);
    const names = ['ALLOWED_ORIGINS', 'DATABASE_URL', 'JWT_SECRET', 'NATS_URL', 'PORT', 'REDIS_URL', 'ROLE'];
    expect(lines.map((line) => line.split(':')[0]).sort()).toEqual(names);
    for (const line of lines) expect(line.length).toBeLessThan(160);
  });
});

describe('a value that only turns out wrong when it is used', () => {
  let databaseUrl: string;
  let folder: string;
  let drop: () => Promise<void>;
  beforeAll(async () => {
    ({ url: databaseUrl, drop } = await createDatabase());
    folder = await mkdtemp(join(tmpdir(), 'city-config-'));
  });
  afterAll(async () => {
    await drop();
    await rm(folder, { recursive: true, force: true });
  });

  /** What a start says whose other values are right. */
  const start = async (env: Record<string, string>) => {
    return run({
      PORT: '0',
      OPS_PORT: '0',
      DATABASE_URL: databaseUrl,
      REDIS_URL: 'redis://127.0.0.1:1', // nobody is there, which stops no start
      LOG_LEVEL: 'silent',
      ...env,
    });
  };
  /** Listens on a port of its own and does with a connection as `serve` says. */
  const listen = async (serve: (connection: Socket) => void) => {
    const server = createServer(serve);
    server.listen(0);
    await once(server, 'listening');
    return { server, port: String((server.address() as AddressInfo).port) };
  };

  it.each(['PORT', 'OPS_PORT'])('stops the start: a %s that is in use', async (name) => {
    const { server, port } = await listen(() => {});
    expect(await start({ [name]: port })).toEqual({ code: 1, lines: [`${name}: ${port} is in use`] });
    server.close();
  });

  it('stops the start: a database or a role that does not exist', async () => {
    expect(await start({ DATABASE_URL: withDatabase(databaseUrl, 'nowhere') })).toEqual({
      code: 1,
      lines: ['DATABASE_URL: database "nowhere" does not exist'],
    });
    const DATABASE_URL = Object.assign(new URL(databaseUrl), { username: 'nobody' }).href;
    const line = 'DATABASE_URL: role "nobody" does not exist';
    expect(await start({ DATABASE_URL })).toEqual({ code: 1, lines: [line] });
  });

  it('stops the start: a wrong password for PostgreSQL', async () => {
    const fields = Buffer.from('SFATAL\0C28P01\0Mpassword authentication failed for user "city"\0\0');
    const head = Buffer.from('E\0\0\0\0');
    head.writeUInt32BE(fields.length + 4, 1);
    const { server, port } = await listen((connection) => {
      connection.once('data', () => connection.end(Buffer.concat([head, fields])));
    });
    const line = 'DATABASE_URL: password authentication failed for user "city"';
    const DATABASE_URL = `postgres://city:wrong@127.0.0.1:${port}/city`;
    expect(await start({ DATABASE_URL })).toEqual({ code: 1, lines: [line] });
    server.close();
  });

  it('stops the start: a database or a password that Redis does not know', async () => {
    const redis = await startRedis({ dataDir: join(folder, 'redis'), durable: false, log: () => {} });
    const { host } = new URL(redis.url);
    const said = async (REDIS_URL: string) => {
      const { code, lines } = await start({ REDIS_URL });
      return [code, ...lines];
    };
    expect(await said(`redis://${host}/999`)).toEqual([1, 'REDIS_URL: ERR DB index is out of range']);
    expect(await said(`redis://nobody:wrong@${host}`)).toEqual([
      1,
      expect.stringMatching(/^REDIS_URL: WRONGPASS /),
    ]);
    const admin = new Redis(redis.url);
    await admin.config('SET', 'requirepass', 'a password');
    admin.disconnect();
    expect(await said(redis.url)).toEqual([1, 'REDIS_URL: Redis wants a password']);
    await redis.stop();
  });

  it('never has the city work in another database of Redis than its own', async () => {
    const options = { dataDir: join(folder, 'late'), durable: false, log: () => {} };
    const port = await freePort();
    const city = await startCity({ databaseUrl, redisUrl: `redis://127.0.0.1:${port}/999` });
    const redis = await startRedis({ ...options, port });
    const admin = new Redis(redis.url);
    const refusals = async () =>
      Number(/cmdstat_select:.*failed_calls=(\d+)/.exec(await admin.info('commandstats'))?.[1]);
    await until(async () => (await refusals()) > 20, 'attempts of every link');
    expect((await (await city.rest('u_alice'))('GET', '/health/ready')).body).toMatchObject({
      redis: 'down',
    });
    expect(await admin.dbsize()).toBe(0);
    admin.disconnect();
    await city.stop();
    await redis.stop();
  });
});

describe('RATE_LIMITS=on', () => {
  let city: City;
  beforeAll(async () => {
    city = await startCity({ env: { RATE_LIMITS: 'on' } });
  });
  afterAll(() => city.stop());

  const many = (count: number, call: (n: number) => Promise<RestAnswer>) =>
    Promise.all(Array.from({ length: count }, (_, n) => call(n)));
  const expectRefusals = (answers: RestAnswer[], allowed: number) => {
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(allowed);
    expect(refused.length).toBeGreaterThan(0);
    for (const { headers, body } of refused) {
      expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
      expect(body).toMatchObject({ code: 'rate_limited', status: 429 });
    }
  };

  it.each<[string, number, (rest: ReturnType<typeof createRest>, n: number) => Promise<RestAnswer>]>([
    ['messages', 20, (rest) => rest('POST', '/city/rooms/general/messages', { body: 'x' })],
    ['new rooms', 8, (rest, n) => rest('POST', '/city/rooms', { name: `Limit ${n}` })],
    ['reads', 80, (rest) => rest('GET', '/city/rooms')],
  ])('allows a burst of %s of %i, and refuses a flood', async (what, burst, call) => {
    const sub = `u_${what.replace(' ', '_')}`;
    const rest = await city.rest(sub);
    const first = await many(burst, (n) => call(rest, n));
    expect(first.filter(({ status }) => status >= 400)).toEqual([]);
    expectRefusals(await many(burst * 4, (n) => call(rest, burst + n)), 0);
    // Others are not the worse for it, nor is the same user in what else they do.
    expect((await call(await city.rest(`${sub}_other`), 9_999)).status).toBeLessThan(300);
    if (what !== 'reads') expect((await rest('GET', '/city/feed')).status).toBe(200);
  });

  it('answers rate_limited over a socket, drops signals silently, and disconnects nobody', async () => {
    const socket = await city.socket('/rooms', 'u_chatty');
    await socket.call('room.join', { room_id: 'general' });
    const acks = await Promise.all(
      Array.from({ length: 100 }, () => socket.ack('room.message.send', { room_id: 'general', body: 'x' })),
    );
    const refused = acks.filter(({ ok }) => !ok);
    expect(acks.length - refused.length).toBeGreaterThanOrEqual(20);
    expect(refused.length).toBeGreaterThan(0);
    for (const { error } of refused) {
      expect(error).toMatchObject({ code: 'rate_limited', retryable: true });
      expect(error.retry_after_ms).toBeGreaterThan(0);
    }
    const signals = await Promise.all(
      Array.from({ length: 400 }, () => socket.ack('room.typing', { room_id: 'general', typing: true })),
    );
    expect(signals.filter(({ ok }) => !ok)).toEqual([]);
    expect(socket.raw.connected).toBe(true);

    const presence = await city.socket('/presence', 'u_chatty');
    const beats = await Promise.all(
      Array.from({ length: 400 }, () => presence.ack('presence.heartbeat', { user_id: 'u_chatty' })),
    );
    expect(beats.filter(({ ok }) => !ok)).toEqual([]);
    expect(presence.raw.connected).toBe(true);
    for (const each of [socket, presence]) each.close();
  });
});
