/** The city as operators run it: processes from the build, split by role, stopped by a signal. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startAgentsCore } from '../../dev/agents-core.ts';
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
const { sign } = createTokens({ key: { kind: 'secret', secret: SECRET } });
const tokenOf = async (user_id: string) => (await sign({ user_id }, 3600)).token;

describe('processes from the build', () => {
  let database: TestDatabase;
  let redis: RedisLease;
  let agents: Awaited<ReturnType<typeof startAgentsCore>>;
  const started: CityProcess[] = [];

  const start = async (env: Record<string, string>) => {
    const [port, opsPort] = [await freePort(), await freePort()];
    const city = startProcess({
      NODE_ENV: 'production',
      PORT: String(port),
      OPS_PORT: String(opsPort),
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      JWT_SECRET: SECRET,
      AGENTS_SERVICE_URL: agents.url,
      RATE_LIMITS: 'off',
      ...env,
    });
    started.push(city);
    return { ...city, url: `http://127.0.0.1:${port}`, opsUrl: `http://127.0.0.1:${opsPort}` };
  };

  beforeAll(async () => {
    [database, redis, agents] = await Promise.all([
      createDatabase(),
      leaseRedis(),
      startAgentsCore({ delayMs: 0 }),
    ]);
  }, 60_000);
  afterAll(async () => {
    for (const { child } of started) child.kill('SIGKILL');
    await Promise.all(started.map(({ exited }) => exited));
    await Promise.all([database.drop(), redis.release(), agents.stop()]);
  });

  it('an api does no jobs, a worker does jobs and serves only its operations port', async () => {
    const api = await start({ ROLE: 'api' });
    await untilReady(api.url, api);
    const rest = createRest(api.url, await tokenOf('u_split'));
    const accepted = await rest(
      'POST',
      '/secondme/invoke',
      { prompt: 'is anybody there?' },
      { prefer: 'respond-async' },
    );
    expect(accepted).toMatchObject({ status: 202, body: { status: 'queued' } });
    const path = accepted.headers.get('location')!;

    const socket = await connect(`${api.url}/rooms`, await tokenOf('u_split'));
    const worker = await start({ ROLE: 'worker' });
    await untilReady(worker.opsUrl, worker);
    const done = await until(async () => {
      const { body } = await rest('GET', path);
      return body.status === 'succeeded' && body;
    }, 'the reply of the worker');
    // What a worker says reaches sockets that live on another process.
    expect(await socket.next('secondme.reply')).toMatchObject({
      invocation_id: done.invocation_id,
      reply: done.reply,
    });
    await expect(fetch(`${worker.url}/health/ready`)).rejects.toThrow();
    expect(await (await fetch(`${worker.opsUrl}/metrics`)).text()).toContain('city_jobs_total');

    expect((await rest('POST', '/auth/dev-token', { user_id: 'u_anybody' })).status).toBe(404);
    socket.close();
    for (const { child, exited } of [api, worker]) {
      child.kill('SIGTERM');
      expect(await exited).toBe(0);
    }
  }, 60_000);

  it('a node that stops sends its clients elsewhere, and none of its messages is lost', async () => {
    const [leaving, staying] = await Promise.all([start({}), start({})]);
    await Promise.all([untilReady(leaving.url, leaving), untilReady(staying.url, staying)]);
    const reader = await connect(`${staying.url}/rooms`, await tokenOf('u_reader'));
    const { room } = await reader.call('room.join', { room_id: 'general' });
    const writer = await connect(`${leaving.url}/rooms`, await tokenOf('u_writer'), { reconnection: true });

    const reason = new Promise((resolve) => writer.raw.once('disconnect', resolve));
    const acked: number[] = [];
    const writing = (async () => {
      for (let n = 0; n < 10_000; n++) {
        const answer = await writer
          .ack('room.message.send', { room_id: 'general', body: `${n}` })
          .catch(() => undefined);
        if (!answer?.ok) return;
        acked.push(answer.data.message.change_seq);
        if (n === 20) leaving.child.kill('SIGTERM');
      }
    })();
    expect(await writer.next('server.draining')).toEqual({ reconnect_within_ms: expect.any(Number) });
    // 'transport close' is what a default client reconnects after by itself.
    expect(await reason).toBe('transport close');
    expect(writer.raw.active).toBe(true);
    writer.close();
    expect(await leaving.exited).toBe(0);
    await writing.catch(() => {});

    const { body } = await createRest(staying.url, await tokenOf('u_reader'))(
      'POST',
      '/city/rooms/general/messages',
      {
        body: 'barrier',
      },
    );
    await reader.next('room.message', ({ message }) => message.id === body.id);
    const numbers = reader.of('room.message').map(({ message }) => message.change_seq as number);
    expect(numbers).toEqual(numbers.map((_, index) => room.last_change_seq + 1 + index));
    expect(acked.filter((number) => !numbers.includes(number))).toEqual([]);
    reader.close();
    expect(leaving.output()).not.toMatch(/unhandledRejection|uncaughtException|"level":"(error|fatal)"/);
  }, 60_000);

  it('a client that sleeps holds up no stop', async () => {
    const node = await start({});
    await untilReady(node.url, node);
    const sleeper = await connect(`${node.url}/rooms`, await tokenOf('u_sleeper'), {
      transports: ['websocket'],
    });
    await sleeper.call('room.join', { room_id: 'general' });
    const { ws } = sleeper.raw.io.engine.transport as unknown as { ws: { _socket: { pause(): void } } };
    ws._socket.pause();
    node.child.kill('SIGTERM');
    expect(await node.exited).toBe(0);
    expect(node.output()).not.toContain('not released');
    sleeper.close();
  }, 60_000);

  it('a log that nobody reads any more stops nothing', async () => {
    const node = await start({ LOG_LEVEL: 'debug' });
    await untilReady(node.url, node);
    for (const stream of [node.child.stdout!, node.child.stderr!]) stream.destroy();
    const rest = createRest(node.url, await tokenOf('u_unheard'));
    for (let n = 0; n < 3; n++) expect((await rest('GET', '/city/rooms')).status).toBe(200);
    node.child.kill('SIGTERM');
    expect(await node.exited).toBe(0);
  }, 60_000);

  it('a wrong configuration stops the start with one line for each problem', async () => {
    const city = startProcess({
      PORT: 'seven',
      REDIS_URL: redis.url,
      JWT_SECRET: 'short',
      AGENTS_TRANSPORT: 'nats',
    });
    expect(await city.exited).toBe(1);
    expect(city.output().trim().split('\n').sort()).toEqual([
      'DATABASE_URL: is required',
      'JWT_SECRET: must be at least 32 bytes',
      'NATS_URL: is required with AGENTS_TRANSPORT=nats',
      'PORT: must be a port, 0–65535',
    ]);
  });
});
