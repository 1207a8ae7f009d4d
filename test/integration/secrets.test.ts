/** Secrets never reach the log: tokens and passwords are planted everywhere, and looked for in all that a process prints. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../dev/services/postgres.ts';
import { freePort } from '../../dev/services/programs.ts';
import type { Service } from '../../dev/services/programs.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { startProcess, untilReady } from '../support/processes.ts';
import type { CityProcess } from '../support/processes.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { forge, HOUR, now } from '../support/tokens.ts';
import { until } from '../support/until.ts';

const JWT_SECRET = 'planted-jwt-secret-0123456789-abcdefghij';
const DATABASE_PASSWORD = 'planted-database-password';
const REDIS_PASSWORD = 'planted-redis-password';
/** In what a client sends. */
const MATRIX_TOKEN = 'planted-matrix-token';
const MARK = 'planted';

let folder: string;
let postgres: Service;
let redis: Service;
const started: CityProcess[] = [];
/** A homeserver that refuses, fails and hangs up in turn. */
const homeserver = createServer((request, response) => {
  if (request.url?.includes('gone')) return void response.socket?.resetAndDestroy();
  response.writeHead(request.url?.includes('broken') ? 500 : 403).end(request.headers.authorization);
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-secrets-'));
  const options = { durable: false, log: () => {} };
  postgres = await startPostgres({ dataDir: join(folder, 'postgres'), ...options });
  redis = await startRedis({ dataDir: join(folder, 'redis'), ...options });
  await lock();
  await new Promise<void>((resolve) => void homeserver.listen(0, '127.0.0.1', resolve));
}, 60_000);
afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ exited }) => exited));
  await Promise.all([postgres.stop(), redis.stop()]);
  await new Promise<void>((resolve) => void homeserver.close(() => resolve()));
  await rm(folder, { recursive: true, force: true });
}, 60_000);

/** From here on both services ask for their passwords. */
async function lock(): Promise<void> {
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(`alter user postgres password '${DATABASE_PASSWORD}'`);
  const { rows } = await client.query<{ file: string }>(`select current_setting('hba_file') file`);
  await client.query(`copy (select 'host all all 127.0.0.1/32 scram-sha-256') to '${rows[0]!.file}'`);
  await client.query('select pg_reload_conf()');
  await client.end();
  const link = new Redis(redis.url);
  await link.config('SET', 'requirepass', REDIS_PASSWORD);
  link.disconnect();
}

const withPassword = (url: string, password: string) => Object.assign(new URL(url), { password }).href;

async function start(env: Record<string, string> = {}) {
  const port = await freePort();
  const { port: matrix } = homeserver.address() as AddressInfo;
  const city = startProcess({
    NODE_ENV: 'development',
    PORT: String(port),
    OPS_PORT: '0',
    DATABASE_URL: withPassword(postgres.url, DATABASE_PASSWORD),
    REDIS_URL: withPassword(redis.url, REDIS_PASSWORD),
    JWT_SECRET,
    MATRIX_HOMESERVER_URL: `http://127.0.0.1:${matrix}`,
    LOG_LEVEL: 'trace',
    SHUTDOWN_GRACE_MS: '5000',
    ...env,
  });
  started.push(city);
  return { ...city, url: `http://127.0.0.1:${port}` };
}

/** Which of `secrets` stand in `output`, whole or by a part that gives them away. */
function found(output: string, secrets: string[]): string[] {
  const parts = secrets.flatMap((secret) => [
    secret,
    ...secret.split('.').filter((part) => part.length > 30),
  ]);
  // A signature or a payload is a secret by itself; the header of a token is everybody's.
  const header = forge({}, '').split('.')[0]!;
  return [...new Set(parts)].filter((part) => part !== header && output.includes(part));
}

describe('a process at LOG_LEVEL=trace', () => {
  it('prints none of the tokens that it is shown, nor of what it is configured with', async () => {
    const city = await start();
    await untilReady(city.url, city);
    const token = (more: object = {}, secret = JWT_SECRET) =>
      forge({ sub: 'u_planter', iat: now(), exp: now() + HOUR, ...more }, secret);
    const wrong = token({ name: 'x'.repeat(60) }, 'another-secret-that-is-long-enough-too');
    const expired = token({ exp: now() - 9, name: 'y'.repeat(60) });
    const [good, fresh, foreign] = [token(), token({ name: 'fresh' }), token({ sub: 'u_somebody' })];
    const secrets = [good, fresh, foreign, wrong, expired];
    const rest = createRest(city.url, good);

    expect((await rest('GET', '/city/rooms')).status).toBe(200);
    expect((await rest('GET', `/city/rooms?token=${good}`)).status).toBe(400);
    expect((await rest('GET', `/nowhere/${good}`)).status).toBe(404);
    for (const bad of [wrong, expired, `${MARK}.nonsense`]) {
      expect((await createRest(city.url, bad)('GET', '/city/rooms')).status).toBe(401);
      await expect(connect(`${city.url}/rooms`, bad)).rejects.toMatchObject({
        data: { code: 'unauthenticated' },
      });
    }
    const socket = await connect(`${city.url}/rooms`, good);
    expect(await socket.ack('auth.refresh', { token: fresh })).toMatchObject({ ok: true });
    for (const bad of [wrong, expired, foreign]) {
      expect(await socket.ack('auth.refresh', { token: bad })).toMatchObject({ ok: false });
    }
    expect(await socket.ack('auth.refresh', { token: good, access_token: MATRIX_TOKEN })).toMatchObject({
      ok: false,
    });
    socket.close();

    for (const [name, status] of [
      ['refused', 403],
      ['broken', 503],
      ['gone', 503],
    ] as const) {
      const body = { matrix_user_id: `@${name}:city`, access_token: MATRIX_TOKEN, status: 'online' };
      expect((await rest('POST', '/internal/matrix/presence/online', body)).status).toBe(status);
    }
    const bad = {
      matrix_user_id: '@a:b',
      access_token: `${MATRIX_TOKEN}\n`,
      status: 'online',
      extra: MATRIX_TOKEN,
    };
    expect((await rest('POST', '/internal/matrix/presence/online', bad)).status).toBe(400);
    expect(
      (await rest('POST', '/internal/matrix/presence/online', `{"access_token":"${MATRIX_TOKEN}`)).status,
    ).toBe(400);

    const issued = await rest('POST', '/auth/dev-token', { user_id: 'u_issued', name: 'i'.repeat(60) });
    expect(issued.status).toBe(201);
    secrets.push(issued.body.token);
    expect((await createRest(city.url, issued.body.token)('POST', '/auth/logout-everywhere')).status).toBe(
      200,
    );

    city.child.kill('SIGTERM');
    expect(await city.exited).toBe(0);
    // It did talk, about each of these requests.
    expect(city.output()).toContain('matrix_unavailable');
    expect(city.output().split('"msg":"request"').length).toBeGreaterThan(10);
    expect(found(city.output(), secrets)).toEqual([]);
    expect(city.output()).not.toContain(MARK);
  }, 60_000);

  it('prints no password when PostgreSQL or Redis refuses or loses it', async () => {
    const wrong = await start({ DATABASE_URL: withPassword(postgres.url, 'planted-wrong-password') });
    expect(await wrong.exited).toBe(1);
    expect(wrong.output()).toMatch(/password authentication failed/);

    const nowhere = await start({ DATABASE_URL: `postgres://city:${DATABASE_PASSWORD}@127.0.0.1:1/city` });
    await until(
      () => nowhere.output().includes('waiting for PostgreSQL'),
      'a start without PostgreSQL',
      60_000,
    );

    const locked = await start({ REDIS_URL: withPassword(redis.url, 'planted-wrong-password') });
    expect(await locked.exited).toBe(1);
    expect(locked.output()).toMatch(/^REDIS_URL: /m);

    const running = await start();
    await untilReady(running.url, running);
    const token = forge({ sub: 'u_planter', exp: now() + HOUR }, JWT_SECRET);
    const socket = await connect(`${running.url}/presence`, token);
    const link = new Redis(withPassword(redis.url, REDIS_PASSWORD));
    await link.config('SET', 'requirepass', 'planted-other-password');
    for (const type of ['normal', 'pubsub']) await link.call('CLIENT', 'KILL', 'TYPE', type);
    await until(() => /WRONGPASS|NOAUTH/.test(running.output()), 'the refusal of Redis');
    const presence = await createRest(running.url, token)('GET', '/city/presence/u_planter');
    await socket.ack('presence.heartbeat', {});
    socket.close();
    expect(presence.status).toBe(503);
    await link.config('SET', 'requirepass', REDIS_PASSWORD);
    link.disconnect();

    for (const { child } of [nowhere, running]) child.kill('SIGTERM');
    await Promise.all([nowhere.exited, running.exited]);
    for (const { output } of [wrong, nowhere, locked, running]) expect(output()).not.toContain(MARK);
  }, 60_000);

  it.each([
    ['DATABASE_URL', `mysql://city:${DATABASE_PASSWORD}@127.0.0.1/city`],
    ['DATABASE_URL', `${DATABASE_PASSWORD} is no address`],
    ['REDIS_URL', `http://:${REDIS_PASSWORD}@127.0.0.1`],
    ['JWT_SECRET', 'planted-and-too-short'],
    ['JWT_PUBLIC_KEY', '-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----'],
    ['JWT_JWKS_URL', 'ftp://planted:planted@keys'],
    ['MATRIX_HOMESERVER_URL', 'planted'],
    ['NATS_URL', 'http://planted@nats'],
  ])(
    'a wrong %s is named and not shown',
    async (name, value) => {
      const city = await start({ [name]: value });
      expect(await city.exited).toBe(1);
      expect(city.output()).toMatch(new RegExp(`^${name}`, 'm'));
      expect(city.output()).not.toContain(MARK);
    },
    30_000,
  );
});
