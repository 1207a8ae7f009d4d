/** PostgreSQL that answers but stores nothing, or lets nobody in: refused, said once, healed by itself. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startAgentsCore } from '../../dev/agents-core.ts';
import { freePort } from '../../dev/services/programs.ts';
import type { Service } from '../../dev/services/programs.ts';
import { startPostgres } from '../../dev/services/postgres.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { withDatabase } from '../support/database.ts';
import { startProcess, untilReady } from '../support/processes.ts';
import type { CityProcess } from '../support/processes.ts';
import { leaseRedis } from '../support/redis.ts';
import type { RedisLease } from '../support/redis.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-of-the-tests-that-is-long-enough';
const { sign } = createTokens({ key: { kind: 'secret', secret: SECRET } });
const tokenOf = async (user_id: string) => (await sign({ user_id }, 3600)).token;
const ROOM = 'room_city_general';
const MESSAGES = `/city/rooms/${ROOM}/messages`;
const DISK_MB = 160;

let folder: string;
let redis: RedisLease;
let agents: Awaited<ReturnType<typeof startAgentsCore>>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-storage-'));
  // A pause before each word: long enough for a call to be under way when the trouble begins.
  [redis, agents] = await Promise.all([leaseRedis(), startAgentsCore({ delayMs: 200 })]);
}, 60_000);
afterAll(async () => {
  await Promise.all([redis.release(), agents.stop()]);
  await rm(folder, { recursive: true, force: true });
});

type Node = CityProcess & { url: string; opsUrl: string };

/** A node that has just been started and may not come up. */
async function launchNode(databaseUrl: string): Promise<Node> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const node = startProcess({
    NODE_ENV: 'production',
    PORT: String(port),
    OPS_PORT: String(opsPort),
    DATABASE_URL: databaseUrl,
    REDIS_URL: redis.url,
    JWT_SECRET: SECRET,
    AGENTS_SERVICE_URL: agents.url,
    RATE_LIMITS: 'off',
  });
  return { ...node, url: `http://127.0.0.1:${port}`, opsUrl: `http://127.0.0.1:${opsPort}` };
}

async function startNode(databaseUrl: string): Promise<Node> {
  const node = await launchNode(databaseUrl);
  await untilReady(node.url, node);
  return node;
}

async function stopNode({ child, exited, output }: Node): Promise<void> {
  child.kill('SIGTERM');
  expect([await exited, output().match(/"level":"fatal".*/g)]).toEqual([0, null]);
}

const health = async ({ url }: Node) => {
  const response = await fetch(`${url}/health/ready`);
  return { status: response.status, body: (await response.json()) as Record<string, string> };
};

async function execute(url: string, ...statements: string[]): Promise<pg.QueryResult | undefined> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // a server that crashes takes its connections with it
  await client.connect();
  try {
    let last: pg.QueryResult | undefined;
    for (const statement of statements) last = await client.query(statement);
    return last;
  } finally {
    await client.end().catch(() => {});
  }
}

/** The whole history of the room, oldest first. */
async function history(rest: ReturnType<typeof createRest>) {
  const messages: {
    id: string;
    seq: number;
    body: string;
    client_id: string | null;
    deleted_at: string | null;
  }[] = [];
  for (;;) {
    const { status, body } = await rest(
      'GET',
      `${MESSAGES}?after_seq=${messages.at(-1)?.seq ?? 0}&limit=200`,
    );
    expect(status).toBe(200);
    messages.push(...body.messages);
    if (!body.has_more) return messages;
  }
}

const REFUSED = {
  ok: false,
  error: { code: 'unavailable', retryable: true, retry_after_ms: expect.any(Number) },
};

describe('a PostgreSQL that is read-only', () => {
  let postgres: Service;
  let node: Node;
  const readOnly = async (on: boolean) => {
    // A session of its own, since the setting refuses itself: only the first statement is bound by it.
    await execute(
      postgres.url,
      'set default_transaction_read_only = off',
      `alter system set default_transaction_read_only = ${on}`,
      'select pg_reload_conf()',
    );
    // Who connects with the new setting does so after all others were told of it.
    await until(async () => {
      const shown = await execute(postgres.url, 'show default_transaction_read_only');
      return shown!.rows[0].default_transaction_read_only === (on ? 'on' : 'off');
    }, `read-only ${on}`);
  };
  beforeAll(async () => {
    postgres = await startPostgres({ dataDir: join(folder, 'read-only'), durable: false, log: () => {} });
    node = await startNode(postgres.url);
  }, 60_000);
  afterAll(async () => {
    await stopNode(node);
    await postgres.stop();
  }, 60_000);

  it('refuses what writes and serves what reads, in few words, and goes on as soon as it can', async () => {
    const socket = await connect(`${node.url}/rooms`, await tokenOf('u_writer'));
    const reader = await connect(`${node.url}/rooms`, await tokenOf('u_reader'));
    const presence = await connect(`${node.url}/presence`, await tokenOf('u_writer'));
    const rest = createRest(node.url, await tokenOf('u_writer'));
    await Promise.all([socket, reader].map((each) => each.call('room.join', { room_id: ROOM })));
    const { message } = await socket.call('room.message.send', { room_id: ROOM, body: 'before' });
    const asked = await rest('POST', '/secondme/invoke', { prompt: 'wait' }, { prefer: 'respond-async' });
    expect(asked.status).toBe(202);
    const invocation = asked.body.invocation_id as string;
    expect(await health(node)).toMatchObject({ status: 200, body: { status: 'ok', postgres: 'up' } });

    await readOnly(true);
    await until(async () => (await health(node)).body.postgres === 'read_only', 'read-only is seen');
    expect(await health(node)).toMatchObject({ status: 200, body: { status: 'degraded', redis: 'up' } });

    const writes: [string, string, object?][] = [
      ['POST', '/city/rooms', { name: 'No room' }],
      ['POST', MESSAGES, { body: 'never', client_id: 'never-rest' }],
      ['PATCH', `${MESSAGES}/${message.id}`, { body: 'never' }],
      ['DELETE', `${MESSAGES}/${message.id}`],
      ['POST', '/city/rooms/science/join'],
      ['POST', `/city/rooms/${ROOM}/leave`],
      ['PUT', `/city/rooms/${ROOM}/read`, { seq: 1 }],
      ['POST', '/secondme/invoke', { prompt: 'never' }],
      ['DELETE', `/secondme/invocations/${invocation}`],
      ['POST', '/secondme/history/clear'],
    ];
    for (const [method, path, body] of writes) {
      const answer = await rest(method, path, body);
      expect([path, answer.status, answer.body.code]).toEqual([path, 503, 'unavailable']);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    }
    const events: [string, object][] = [
      ['room.message.send', { room_id: ROOM, body: 'never', client_id: 'never-socket' }],
      ['room.message.edit', { room_id: ROOM, message_id: message.id, body: 'never' }],
      ['room.message.delete', { room_id: ROOM, message_id: message.id }],
      ['room.read', { room_id: ROOM, seq: 1 }],
      ['secondme.invoke', { prompt: 'never' }],
      ['secondme.cancel', { invocation_id: invocation }],
    ];
    for (const [event, payload] of events) {
      expect([event, await socket.ack(event, payload)]).toMatchObject([event, REFUSED]);
    }
    for (const path of [
      '/city/rooms',
      `/city/rooms/${ROOM}`,
      MESSAGES,
      '/city/feed',
      '/city/feed?scope=mine',
      '/city/home',
      '/city/presence',
      `/city/rooms/${ROOM}/members`,
      `/secondme/invocations/${invocation}`,
      '/secondme/history',
      '/secondme/profile',
    ]) {
      expect([path, (await rest('GET', path)).status]).toEqual([path, 200]);
    }
    expect(await presence.ack('presence.heartbeat', {})).toMatchObject({ ok: true });
    expect(await socket.ack('feed.subscribe', { scope: 'city' })).toMatchObject({ ok: true });
    // Who comes now reads too: the handshake, the answer of a socket, the log that goes on.
    const late = await connect(`${node.url}/presence`, await tokenOf('u_late'));
    expect(late.raw.connected).toBe(true);

    // A crowd that meets the same trouble: refused each, counted each, said once in a while.
    const began = node.output().length;
    const crowd = await Promise.all([
      ...Array.from({ length: 150 }, (_, n) =>
        socket.ack('room.message.send', { room_id: ROOM, body: 'never', client_id: `crowd-${n}` }),
      ),
      ...Array.from({ length: 150 }, () => rest('POST', '/secondme/invoke', { prompt: 'never' })),
    ]);
    expect(crowd.filter((answer) => answer.ok || answer.status === 200 || answer.status === 202)).toEqual([]);
    const said = node.output().slice(began).trim().split('\n').filter(Boolean);
    expect(said.length).toBeLessThan(15);
    expect(node.output()).not.toMatch(/"level":"fatal"|"stack"/);
    const metrics = await (await fetch(`${node.opsUrl}/metrics`)).text();
    const counted = (pattern: RegExp) => Number(pattern.exec(metrics)?.[1] ?? 0);
    expect(counted(/events_total\{event="room.message.send",outcome="unavailable"\} (\d+)/)).toBe(151);
    expect(
      counted(/request_seconds_count\{route="\/secondme\/invoke",status="503"\} (\d+)/),
    ).toBeGreaterThanOrEqual(151);

    await readOnly(false);
    // The connections that were open all along write again, at the first try: nothing waits for a probe.
    const after = await socket.call('room.message.send', { room_id: ROOM, body: 'after' });
    expect((await reader.next('room.message', (event) => event.message.body === 'after')).message).toEqual(
      after.message,
    );
    await until(async () => (await health(node)).body.status === 'ok', 'health is ok');
    expect(
      (await history(rest)).map(({ body }) => body).filter((body) => /never|before|after/.test(body)),
    ).toEqual(['before', 'after']);
    expect(reader.of('room.message').map((event) => event.message.body)).toEqual(['before', 'after']);
    expect(reader.of('room.message.updated').concat(reader.of('room.message.deleted'))).toEqual([]);
    await until(
      async () => (await rest('GET', `/secondme/invocations/${invocation}`)).body.status === 'succeeded',
      'the reply that came in the middle of it',
      30_000,
    );
    expect((await rest('GET', '/secondme/history?limit=50')).body).toHaveLength(2);
    for (const each of [socket, reader, presence, late]) each.close();
  }, 90_000);
});

describe('a PostgreSQL that lets nobody in', () => {
  let postgres: Service;
  let node: Node;
  /** As somebody whom no trouble keeps out, in another database. */
  const administer = (...statements: string[]) =>
    execute(withDatabase(postgres.url, 'postgres'), ...statements);
  const urlOfNode = () => Object.assign(new URL(postgres.url), { username: 'node', password: 'old' }).href;
  const CUT = `select pg_terminate_backend(pid) from pg_stat_activity where datname = 'city'`;
  const connections = (allowed: boolean) => `alter database city with allow_connections ${allowed}`;
  beforeAll(async () => {
    const dataDir = join(folder, 'shut');
    postgres = await startPostgres({ dataDir, durable: false, log: () => {} });
    await administer(`create role node login superuser password 'old'`);
    writeFileSync(
      join(dataDir, 'pg_hba.conf'),
      'host all node all scram-sha-256\nhost all postgres all trust\n',
    );
    await administer('select pg_reload_conf()');
    node = await startNode(urlOfNode());
  }, 60_000);
  afterAll(async () => {
    await stopNode(node);
    await postgres.stop();
  }, 60_000);

  it.each<[string, string[], string[]]>([
    ['its database takes no connections', [connections(false), CUT], [connections(true)]],
    ['the password is another', [`alter role node password 'new'`, CUT], [`alter role node password 'old'`]],
    [
      'its database is gone',
      [connections(false), CUT, 'alter database city rename to away'],
      ['alter database away rename to city', connections(true)],
    ],
  ])(
    '%s: unavailable, until it does again',
    async (_, shut, open) => {
      const socket = await connect(`${node.url}/rooms`, await tokenOf('u_outsider'));
      const presence = await connect(`${node.url}/presence`, await tokenOf('u_outsider'));
      const rest = createRest(node.url, await tokenOf('u_outsider'));
      await socket.call('room.join', { room_id: ROOM });

      await administer(...shut);
      await until(async () => (await health(node)).status === 503, 'not ready');
      expect((await health(node)).body).toEqual({ status: 'unavailable', postgres: 'down', redis: 'up' });
      for (const [method, path, body] of [
        ['GET', '/city/rooms'],
        ['GET', MESSAGES],
        ['POST', MESSAGES, { body: 'never' }],
        ['POST', '/secondme/invoke', { prompt: 'never' }],
      ] as const) {
        const answer = await rest(method, path, body);
        expect([path, answer.status, answer.body.code]).toEqual([path, 503, 'unavailable']);
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      }
      expect(await socket.ack('room.message.send', { room_id: ROOM, body: 'never' })).toMatchObject(REFUSED);
      expect(await presence.ack('presence.heartbeat', {})).toMatchObject({ ok: true });
      expect(node.output()).not.toMatch(/"level":"fatal"|"stack"/);
      // Who starts now is told at once and waits for nobody.
      const began = performance.now();
      expect(await (await launchNode(urlOfNode())).exited).toBe(1);
      expect(performance.now() - began).toBeLessThan(30_000);

      await administer(...open);
      await until(async () => (await health(node)).body.status === 'ok', 'health is ok');
      const { message } = await socket.call('room.message.send', { room_id: ROOM, body: 'after' });
      expect((await socket.next('room.message', (event) => event.message.id === message.id)).message).toEqual(
        message,
      );
      expect((await history(rest)).map(({ body }) => body)).not.toContain('never');
      for (const each of [socket, presence]) each.close();
    },
    90_000,
  );
});

/** Where a small disk of the test's own is mounted. */
const disk = join(tmpdir(), `city-disk-${process.pid}`);
const mount = () => {
  mkdirSync(disk, { recursive: true });
  return spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MB}m`, 'tmpfs', disk], { encoding: 'utf8' });
};
const unmount = () => {
  spawnSync('umount', [disk]);
  rmSync(disk, { recursive: true, force: true });
};
const tried = mount();
unmount();
if (tried.status !== 0) {
  const reason = tried.error?.message ?? tried.stderr.trim();
  process.stdout.write(`skipped: no disk to fill can be mounted here (${reason})\n`);
}
const describeDisk = tried.status === 0 ? describe : describe.skip;

describeDisk('a PostgreSQL whose disk is full', () => {
  const filler = join(disk, 'filler');
  let postgres: Service;
  let node: Node;
  const start = (port?: number) =>
    startPostgres({
      dataDir: join(disk, 'data'),
      durable: true,
      log: () => {},
      ...(port === undefined ? {} : { port }),
    });
  /** Leaves not a byte free. */
  const fill = () => {
    const file = openSync(filler, 'a');
    for (let size = 1 << 20; size >= 1; size >>= 1) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
      }
    }
    closeSync(file);
  };
  beforeAll(async () => {
    expect(mount().status).toBe(0);
    postgres = await start();
    node = await startNode(postgres.url);
  }, 60_000);
  afterAll(async () => {
    if (node) await stopNode(node);
    await postgres?.stop();
    unmount();
  }, 60_000);

  /** Sends messages of 10,000 characters one after another until `enough`; what was answered to each. */
  const sendUntil = async (socket: TestSocket, name: string, enough: (refusals: number) => boolean) => {
    const acked: string[] = [];
    let refusals = 0;
    for (let n = 0; n < 5_000 && !enough(refusals); n++) {
      const client_id = `${name}-${n}`;
      const body = Buffer.from(`${client_id}${Math.random()}`).toString('hex').padEnd(10_000, client_id);
      const answer = await socket.ack('room.message.send', { room_id: ROOM, body, client_id });
      if (answer.ok) {
        acked.push(client_id);
        continue;
      }
      expect(answer).toMatchObject(REFUSED);
      refusals += 1;
    }
    expect(refusals).toBeGreaterThan(0);
    return acked;
  };

  const expectHealed = async (socket: TestSocket, rest: ReturnType<typeof createRest>, acked: string[]) => {
    const healed = await until(
      async () => {
        const answer = await socket.ack('room.message.send', { room_id: ROOM, body: 'healed' });
        return answer.ok && answer.data.message;
      },
      'a message after the trouble',
      5_000,
    );
    expect((await socket.next('room.message', (event) => event.message.id === healed.id)).message).toEqual(
      healed,
    );
    await until(async () => (await health(node)).body.status === 'ok', 'health is ok');
    const stored = await history(rest);
    expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, index) => index + 1));
    const keys = stored.map(({ client_id }) => client_id).filter((key) => key !== null);
    expect(new Set(keys).size).toBe(keys.length);
    expect(acked.filter((key) => !keys.includes(key))).toEqual([]);
    return keys;
  };

  it('refuses what it cannot store, serves what it has, and goes on once there is room', async () => {
    const socket = await connect(`${node.url}/rooms`, await tokenOf('u_hoarder'));
    const rest = createRest(node.url, await tokenOf('u_hoarder'));
    await socket.call('room.join', { room_id: ROOM });
    fill();
    const acked = await sendUntil(socket, 'full', (refusals) => refusals === 20);
    expect(await health(node)).toMatchObject({
      status: 200,
      body: { status: 'degraded', postgres: 'read_only' },
    });
    const refused = await rest('POST', MESSAGES, { body: 'x'.repeat(10_000) });
    expect([refused.status, refused.body.code]).toEqual([503, 'unavailable']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await rest('GET', `/city/rooms/${ROOM}`)).status).toBe(200);
    expect(node.output()).not.toMatch(/"level":"fatal"|"stack"/);

    rmSync(filler);
    const keys = await expectHealed(socket, rest, acked);
    // PostgreSQL said no to each of the others, so none of them is there.
    expect(keys.toSorted()).toEqual(acked.toSorted());
    socket.close();
  }, 90_000);

  it('outlives a PostgreSQL that panics for want of room for its log', async () => {
    const socket = await connect(`${node.url}/rooms`, await tokenOf('u_panicked'));
    const rest = createRest(node.url, await tokenOf('u_panicked'));
    await socket.call('room.join', { room_id: ROOM });
    let gone = false;
    void postgres.ended.then(() => (gone = true));
    fill();
    // Segments of the log that were made ahead are used up first.
    const using = (async () => {
      while (!gone) {
        await execute(postgres.url, "select pg_logical_emit_message(true, '', 'x'), pg_switch_wal()").catch(
          () => {},
        );
      }
    })();
    const acked = await sendUntil(socket, 'panic', () => gone);
    await using;
    await until(async () => (await health(node)).status === 503, 'not ready');

    rmSync(filler);
    postgres = await start(postgres.port);
    await expectHealed(socket, rest, acked);
    expect(node.output()).not.toMatch(/"level":"fatal"|"stack"/);
    socket.close();
  }, 120_000);
});
