/** What nobody foresaw in a node: it sends its clients elsewhere, loses nothing it acknowledged, and exits non-zero. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { freePort } from '../../dev/services/programs.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { startProcess, untilReady } from '../support/processes.ts';
import type { CityProcess } from '../support/processes.ts';
import { leaseRedis } from '../support/redis.ts';
import type { RedisLease } from '../support/redis.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-of-the-tests-that-is-long-enough';
/** Loaded before the city's own code: on SIGUSR2, or as it begins to stop, the accident that CITY_ACCIDENT names. */
const PRELOAD = `data:text/javascript,${encodeURIComponent(`
  import process from 'node:process';
  const { CITY_ACCIDENT } = process.env;
  process.on(CITY_ACCIDENT === 'while stopping' ? 'SIGTERM' : 'SIGUSR2', () => {
    const error = new Error('an accident that was asked for');
    if (CITY_ACCIDENT === 'uncaughtException') setImmediate(() => { throw error; });
    else setImmediate(() => void Promise.reject(error));
  });
`)}`;
const ROOM = 'room_city_general';
const { sign } = createTokens({ key: { kind: 'secret', secret: SECRET } });
const tokenOf = async (user_id: string) => (await sign({ user_id }, 3600)).token;

let database: TestDatabase;
let redis: RedisLease;
const started: CityProcess[] = [];

const start = async (accident?: string) => {
  const port = await freePort();
  const node = startProcess(
    {
      NODE_ENV: 'production',
      ROLE: 'api',
      PORT: String(port),
      OPS_PORT: '0',
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      JWT_SECRET: SECRET,
      RATE_LIMITS: 'off',
      SHUTDOWN_GRACE_MS: '8000',
      ...(accident === undefined ? {} : { CITY_ACCIDENT: accident }),
    },
    accident === undefined ? {} : { preload: PRELOAD, accidents: 'expected' },
  );
  started.push(node);
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url, node);
  return { ...node, url };
};

beforeAll(async () => {
  [database, redis] = await Promise.all([createDatabase(), leaseRedis()]);
}, 60_000);
afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ exited }) => exited));
  await Promise.all([database.drop(), redis.release()]);
});

it.each(['unhandledRejection', 'uncaughtException'])(
  'after an %s the node drains, keeps its word and exits non-zero',
  async (accident) => {
    const [node, neighbour] = await Promise.all([start(accident), start()]);
    const sockets = await Promise.all(
      ['u_first', 'u_second', 'u_third'].map(async (user) =>
        connect(`${node.url}/rooms`, await tokenOf(user), { reconnection: true, reconnectionDelay: 1 }),
      ),
    );
    const reasons = sockets.map(
      ({ raw }) => new Promise<string>((resolve) => void raw.once('disconnect', (reason) => resolve(reason))),
    );
    const turnedAway = sockets.map(
      ({ raw }) => new Promise<void>((resolve) => void raw.io.once('reconnect_error', () => resolve())),
    );
    const acked: string[] = [];
    const writing = sockets.map(async ({ ack, raw }, writer) => {
      for (let n = 0; raw.connected; n++) {
        const client_id = `${accident}-${writer}-${n}`;
        const answer = await ack('room.message.send', { room_id: ROOM, body: client_id, client_id }).catch(
          () => undefined,
        );
        if (answer?.ok) acked.push(client_id);
        else if (answer) expect(answer.error).toMatchObject({ retryable: true });
      }
    });
    await until(() => acked.length > 30, 'messages under way');
    node.child.kill('SIGUSR2');

    for (const socket of sockets) {
      expect(await socket.next('server.draining')).toEqual({ reconnect_within_ms: expect.any(Number) });
    }
    // What a default client reconnects after by itself, and goes on trying where it is turned away.
    expect(await Promise.all(reasons)).toEqual(sockets.map(() => 'transport close'));
    await Promise.all(turnedAway);
    for (const socket of sockets) expect(socket.raw.active).toBe(true);
    await Promise.all(writing);
    for (const socket of sockets) socket.close();
    expect(await node.exited).toBe(1);
    expect(node.output()).toContain(`"msg":"${accident}"`);
    expect(node.output()).toContain('"msg":"stopped"');

    const rest = createRest(neighbour.url, await tokenOf('u_auditor'));
    const stored: string[] = [];
    for (let after = 0, more = true; more;) {
      const { body } = await rest('GET', `/city/rooms/${ROOM}/messages?after_seq=${after}&limit=200`);
      stored.push(...body.messages.map(({ client_id }: { client_id: string }) => client_id));
      after = body.messages.at(-1).seq;
      more = body.has_more;
    }
    expect(acked.filter((key) => stored.filter((other) => other === key).length !== 1)).toEqual([]);
    neighbour.child.kill('SIGTERM');
    expect(await neighbour.exited).toBe(0);
  },
  60_000,
);

it('an accident in the middle of a clean stop is not passed over', async () => {
  const node = await start('while stopping');
  const socket = await connect(`${node.url}/rooms`, await tokenOf('u_witness'));
  node.child.kill('SIGTERM');
  await socket.next('server.draining');
  expect(await node.exited).toBe(1);
  expect(node.output()).toContain('"msg":"stopped"');
  socket.close();
}, 60_000);
