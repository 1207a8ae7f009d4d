/** Second Me on real PostgreSQL, Redis, BullMQ workers, socket.io and an Agents Core over HTTP. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { connect as connectTcp, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Socket as TcpSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedis } from '../../dev/services/redis.ts';
import { createAgentsCore } from '../../src/agents-core/create-agents-core.ts';
import { ROOMS_CLIENT_EVENTS } from '../../src/contract/events.ts';
import { Invocation, InvocationReply, Profile } from '../../src/contract/second-me.ts';
import { createEnqueue, JOB_NAMES, startJobs } from '../../src/jobs.ts';
import { createDb, rows } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createGateway } from '../../src/platform/gateway.ts';
import { createHttpApp, createRoutes, endWithProblems } from '../../src/platform/http.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createIo, userChannel } from '../../src/platform/io.ts';
import type { RoomsSocket } from '../../src/platform/io.ts';
import { createAddresses } from '../../src/platform/addresses.ts';
import { UNLIMITED } from '../../src/platform/limits.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { createProducer } from '../../src/platform/queue.ts';
import { connectRedis } from '../../src/platform/redis.ts';
import { createMissedEnds } from '../../src/second-me/missed-ends.ts';
import { createSecondMeJob, FALLBACK_REPLY } from '../../src/second-me/second-me.job.ts';
import { createSecondMeNews } from '../../src/second-me/second-me.news.ts';
import { createInvocation } from '../../src/second-me/second-me.repo.ts';
import { secondMeRoutes } from '../../src/second-me/second-me.routes.ts';
import { createSecondMe } from '../../src/second-me/second-me.service.ts';
import { attachSecondMe } from '../../src/second-me/second-me.socket.ts';
import { claimInvocation, finishInvocation } from '../../src/second-me/work.repo.ts';
import { createDatabase } from '../support/database.ts';
import { leaseRedis } from '../support/redis.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const log = createLogger(process.env['TEST_LOG_LEVEL'] ?? 'silent');
const newId = createIds();
const ALICE = 'u_alice';
const BOB = 'u_bob';
const ASYNC = { Prefer: 'respond-async' };
const QUICK = { leaseMs: 5_000, renewMs: 150, rescueMs: 100, sweepMs: 300, freshMs: 200, storeAgainMs: 50 };

/** The caller behind a token, which in these tests is the user's id. */
const callerOf = (id: string) => ({
  id,
  name: undefined,
  roles: ['citizen' as const],
  issuedAt: 0,
  expiresAt: Date.now() + 3_600_000,
});

const portOf = (server: { address(): AddressInfo | string | null }) => (server.address() as AddressInfo).port;

interface Call {
  key: string;
  input: string;
  context: { user_id: string; kind: string; messages: { role: string; content: string }[] };
  response: ServerResponse;
  /** Whether the caller hung up before the end. */
  dropped: boolean;
}

const sse = (response: ServerResponse, ...events: object[]) => {
  if (!response.headersSent) response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
};

/** Answers a call with `Echo: <input>` in three pieces. */
const echo = ({ response, input }: Call) => {
  sse(response, { delta: 'Echo' }, { delta: ': ' }, { delta: input }, { done: true, tokens_used: 7 });
  response.end();
};

async function startCore() {
  const core = {
    url: '',
    calls: [] as Call[],
    /** The most calls that were open at once. */
    peak: 0,
    behave: echo as (call: Call) => void,
    stop: async () => {},
  };
  let open = 0;
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += chunk));
    request.on('end', () => {
      const { input, context } = JSON.parse(text);
      const call = {
        key: String(request.headers['idempotency-key']),
        input,
        context,
        response,
        dropped: false,
      };
      core.peak = Math.max(core.peak, ++open);
      response.on('close', () => {
        open--;
        call.dropped = !response.writableFinished;
      });
      core.calls.push(call);
      core.behave(call);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  core.url = `http://127.0.0.1:${portOf(server)}`;
  core.stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return core;
}

/** A way to Redis that can be cut. */
async function startProxy(target: string) {
  const { hostname, port, pathname } = new URL(target);
  const sockets = new Set<TcpSocket>();
  let up = true;
  const server = createTcpServer((near) => {
    if (!up) return near.destroy();
    const far = connectTcp(Number(port), hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    up = false;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `redis://127.0.0.1:${portOf(server)}${pathname}`,
    cut,
    heal: () => void (up = true),
    stop: () => {
      cut();
      server.close();
    },
  };
}

interface NodeOptions {
  works?: boolean;
  fallback?: 'reply' | 'error';
  waitMs?: number;
  redisUrl?: string;
  /** How often its sockets' missed ends are looked for, milliseconds. */
  missedMs?: number;
  timings?: Partial<typeof QUICK>;
}

type Core = Awaited<ReturnType<typeof startCore>>;
type Node = Awaited<ReturnType<typeof startNode>>;

let database: Awaited<ReturnType<typeof createDatabase>>;
let lease: Awaited<ReturnType<typeof leaseRedis>>;
let db: Db;
let core: Core;
const ends: (() => unknown)[] = [];

beforeEach(async () => {
  [database, lease, core] = await Promise.all([createDatabase(), leaseRedis(), startCore()]);
  db = createDb(database.url, log);
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await core.stop();
  await db.destroy();
  await Promise.all([database.drop(), lease.release()]);
});

/** A node: REST and sockets, and with `works` the jobs; all of it stopped after the test. */
async function startNode(options: NodeOptions = {}) {
  const { works = true, fallback = 'reply', waitMs = 15_000, redisUrl = lease.url } = options;
  const { missedMs = 2_000, timings } = options;
  const metrics = createMetrics();
  const redis = await connectRedis(redisUrl, log);
  // Before Socket.IO attaches: it takes its own requests from the listeners that it finds, and from no later one.
  const http = createServer((request, response) => listener(request, response));
  const io = createIo(redis, metrics, log, http);
  const producer = createProducer(redisUrl, JOB_NAMES, log);
  const enqueue = createEnqueue(producer);
  const news = createSecondMeNews(io.rooms, log);
  const agentId = 'ag_secondme_global';
  const deps = { db, rooms: io.rooms, news, enqueue, newId, log, metrics, agentId };
  const secondMe = createSecondMe({ ...deps, waitMs, pollMs: 100 });
  const missedEnds = createMissedEnds({ ...deps, redis, pollMs: missedMs });
  await missedEnds.start();

  const edge = { log, metrics, limits: UNLIMITED, authorise: async () => {} };
  const gateway = createGateway<RoomsSocket, typeof ROOMS_CLIENT_EVENTS>(ROOMS_CLIENT_EVENTS, edge);
  attachSecondMe({ secondMe, gateway });
  io.rooms.use((socket, next) => {
    socket.data.caller = callerOf(String(socket.handshake.auth['token']));
    next();
  });
  io.rooms.on('connection', (socket) => {
    void socket.join(userChannel(socket.data.caller.id));
    gateway.attach(socket);
  });
  const authenticate = async (request: { headers: { authorization?: string | undefined } }) =>
    callerOf(String(request.headers.authorization).replace('Bearer ', ''));
  const httpEdge = { ...edge, authenticate, addressOf: createAddresses(0) };
  const { app, direct, listener } = createHttpApp(httpEdge, () => true);
  const { route, mount } = createRoutes(httpEdge, direct);
  secondMeRoutes(route, secondMe);
  mount(app);
  endWithProblems(app);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${portOf(http)}`;

  const agents = createAgentsCore({ url: core.url, retries: 1, backoffMs: 5, breakerFailures: 1_000 });
  const job = createSecondMeJob({ ...deps, redis, agents, fallback, timings: { ...QUICK, ...timings } });
  const handlers = { 'secondme.invoke': job.run, 'feed.fanout': async () => {} };
  const workers = works ? startJobs({ redisUrl, handlers, log, metrics }) : undefined;
  if (works) job.start();

  let stopped: Promise<unknown> | undefined;
  const stopWork = (graceMs: number) =>
    (stopped ??= Promise.all([workers?.close(graceMs + 2_000), job.stop(graceMs)]));
  ends.push(async () => {
    secondMe.stop();
    await missedEnds.stop();
    await stopWork(0);
    await agents.close();
    await producer.close();
    io.server.disconnectSockets(true);
    http.closeAllConnections();
    await new Promise((resolve) => io.server.close(() => resolve(undefined)));
    // The adapter unsubscribes without waiting; a link that is dropped before leaves rejections that nobody takes.
    await redis.subscriber.ping();
    await redis.close();
  });
  return {
    url,
    redis,
    metrics,
    secondMe,
    stopWork,
    as: (user: string) => createRest(url, user),
    socket: async (user: string) => {
      const socket = await connect(`${url}/rooms`, user);
      ends.push(() => socket.close());
      return socket;
    },
  };
}

const invocation = async (id: string) =>
  (await rows<Record<string, unknown>>(db, 'select * from secondme_invocations where id = ?', [id]))[0]!;
const finished = (id: string) =>
  until(async () => {
    const row = await invocation(id);
    return row['finished_at'] === null ? undefined : row;
  }, `${id} finishes`);
const messagesOf = async (user: string) =>
  (
    await rows<{ role: string; content: string }>(
      db,
      'select role, content from secondme_messages where user_id = ? order by n',
      [user],
    )
  ).map(({ role, content }) => `${role}: ${content}`);

/** A row as an API node stores it, of which nobody has been told. */
const storeSilently = async (user: string, prompt: string, trx = db) => {
  const ids = { id: newId('sminv'), messageId: newId('smmsg'), sessionId: newId('smsess') };
  return (await createInvocation(trx, { ...ids, userId: user, key: undefined, prompt })).id;
};

/** What a worker does first: takes the row for `leaseMs`. */
const claimFor = async (id: string, leaseMs: number) => {
  const taken = await claimInvocation(db, id, { leaseMs, suspects: true });
  return taken?.kind === 'claimed' ? taken.claim : undefined;
};

const invokeLater = async (node: Node, user: string, prompt: string): Promise<string> => {
  const answer = await node.as(user)('POST', '/secondme/invoke', { prompt }, ASYNC);
  expect(answer.status).toBe(202);
  return answer.body.invocation_id;
};

describe('asking', () => {
  test('answers the reply with the last messages, and stores both sides', async () => {
    const node = await startNode();
    const alice = node.as(ALICE);
    const answer = await alice('POST', '/secondme/invoke', { prompt: 'Привіт' });
    expect(answer.status).toBe(200);
    expect(InvocationReply.strict().parse(answer.body)).toMatchObject({
      reply: 'Echo: Привіт',
      tokens_used: 7,
      latency_ms: expect.any(Number),
      fallback: false,
      history: [
        { role: 'user', content: 'Привіт' },
        { role: 'assistant', content: 'Echo: Привіт' },
      ],
    });
    const { invocation_id: id } = answer.body;
    expect(core.calls).toMatchObject([
      { key: id, input: 'Привіт', context: { user_id: ALICE, kind: 'secondme', messages: [] } },
    ]);
    const seen = await alice('GET', `/secondme/invocations/${id}`);
    expect(Invocation.strict().parse(seen.body)).toMatchObject({
      status: 'succeeded',
      reply: 'Echo: Привіт',
    });
    expect((await node.as(BOB)('GET', `/secondme/invocations/${id}`)).status).toBe(404);
    expect(Profile.parse((await alice('GET', '/secondme/profile')).body)).toEqual({
      user_id: ALICE,
      agent_id: 'ag_secondme_global',
      total_interactions: 1,
      last_interaction: expect.any(String),
    });
  });

  test('streams to all connections of the user on any node, in order, from a worker without clients', async () => {
    const api = await startNode({ works: false });
    const other = await startNode({ works: false });
    await startNode();
    const sockets = [await api.socket(ALICE), await other.socket(ALICE)];
    const stranger = await other.socket(BOB);
    const { invocation_id, status } = await sockets[0]!.call('secondme.invoke', { prompt: 'so' });
    expect(status).toBe('queued');
    for (const socket of sockets) {
      await socket.next('secondme.reply');
      expect(socket.events).toEqual([
        { name: 'secondme.status', payload: { invocation_id, status: 'running' } },
        { name: 'secondme.delta', payload: { invocation_id, index: 0, text: 'Echo' } },
        { name: 'secondme.delta', payload: { invocation_id, index: 1, text: ': ' } },
        { name: 'secondme.delta', payload: { invocation_id, index: 2, text: 'so' } },
        { name: 'secondme.status', payload: { invocation_id, status: 'succeeded' } },
        {
          name: 'secondme.reply',
          payload: {
            invocation_id,
            status: 'succeeded',
            reply: 'Echo: so',
            tokens_used: 7,
            latency_ms: expect.any(Number),
            fallback: false,
          },
        },
      ]);
    }
    expect(stranger.events).toEqual([]);
  });

  test('a reply that begins anew begins at index 0', async () => {
    const node = await startNode();
    const socket = await node.socket(ALICE);
    core.behave = (call) => {
      core.behave = echo;
      sse(call.response, { delta: 'half' }, { delta: ' a reply' });
      call.response.end();
    };
    await socket.call('secondme.invoke', { prompt: 'x' });
    await socket.next('secondme.reply', ({ reply }) => reply === 'Echo: x');
    expect(socket.of('secondme.delta').map(({ index, text }) => [index, text])).toEqual([
      [0, 'half'],
      [1, ' a reply'],
      [0, 'Echo'],
      [1, ': '],
      [2, 'x'],
    ]);
  });

  test('the context is the ten messages before the prompt; history is oldest first', async () => {
    const node = await startNode();
    const alice = node.as(ALICE);
    for (let i = 1; i <= 7; i++) await alice('POST', '/secondme/invoke', { prompt: `p${i}` });
    const texts = [2, 3, 4, 5, 6].flatMap((i) => [`p${i}`, `Echo: p${i}`]);
    expect(core.calls.at(-1)!.context.messages.map(({ content }) => content)).toEqual(texts);
    const history = await alice('GET', '/secondme/history');
    expect(history.body.map(({ content }: { content: string }) => content)).toEqual([
      'Echo: p5',
      'p6',
      'Echo: p6',
      'p7',
      'Echo: p7',
    ]);
    expect((await alice('GET', '/secondme/history?limit=200')).body).toHaveLength(14);
  });

  test('clearing forgets the conversation, and a reply under way is not stored in the next one', async () => {
    const node = await startNode();
    const alice = node.as(ALICE);
    const first = await alice('POST', '/secondme/invoke', { prompt: 'one' }, { 'Idempotency-Key': 'k' });
    const held: Call[] = [];
    core.behave = (call) => void held.push(call);
    const waiting = alice('POST', '/secondme/invoke', { prompt: 'two' });
    await until(() => held.length, 'the call begins');
    expect((await alice('POST', '/secondme/history/clear')).body).toEqual({ status: 'cleared', deleted: 3 });
    echo(held[0]!);
    expect((await waiting).body).toMatchObject({ reply: 'Echo: two', history: [] });
    expect((await alice('GET', '/secondme/history')).body).toEqual([]);
    expect((await alice('GET', '/secondme/profile')).body).toMatchObject({
      total_interactions: 0,
      last_interaction: null,
    });
    expect((await alice('POST', '/secondme/history/clear')).body).toEqual({ status: 'cleared', deleted: 0 });
    const again = await alice('POST', '/secondme/invoke', { prompt: 'one' }, { 'Idempotency-Key': 'k' });
    expect(again.body).toMatchObject({ invocation_id: first.body.invocation_id, reply: 'Echo: one' });
  });

  test('answers 202 at once when asked to, and when the reply takes too long', async () => {
    const node = await startNode({ waitMs: 50 });
    core.behave = () => {};
    for (const headers of [{}, { Prefer: 'wait=5, Respond-Async' }]) {
      const answer = await node.as(ALICE)('POST', '/secondme/invoke', { prompt: 'x' }, headers as never);
      expect(answer.status).toBe(202);
      expect(answer.headers.get('location')).toBe(`/secondme/invocations/${answer.body.invocation_id}`);
      expect(Object.keys(answer.body)).toEqual(['invocation_id', 'status']);
    }
  });

  test('a node that stops waiting answers 202', async () => {
    const node = await startNode();
    core.behave = () => {};
    const waiting = node.as(ALICE)('POST', '/secondme/invoke', { prompt: 'x' });
    await until(() => core.calls.length, 'the call begins');
    node.secondMe.stop();
    expect((await waiting).body).toMatchObject({ status: 'running' });
  });

  test('sees the end of an invocation of which no news came', async () => {
    const node = await startNode({ works: false, waitMs: 60_000 });
    const waiting = node.as(ALICE)('POST', '/secondme/invoke', { prompt: 'x' });
    const [row] = await until(async () => {
      const found = await rows<{ id: string }>(db, 'select id from secondme_invocations');
      return found.length > 0 ? found : undefined;
    }, 'the row is stored');
    const claim = (await claimFor(row!.id, 10_000))!;
    const outcome = { reply: 'late', tokens_used: null, latency_ms: 1, fallback: false, error: null };
    await finishInvocation(db, claim, { status: 'succeeded', ...outcome }, newId('smmsg'));
    expect((await waiting).body).toMatchObject({ reply: 'late' });
  });
});

describe('one key, one reply', () => {
  test('twenty at once on two nodes are one row, one call and one reply', async () => {
    const nodes = [await startNode(), await startNode()];
    const key = { 'Idempotency-Key': 'the-key' };
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        nodes[i % 2]!.as(ALICE)('POST', '/secondme/invoke', { prompt: 'same' }, key),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(new Set(answers.map(({ body }) => body.invocation_id)).size).toBe(1);
    expect(core.calls).toHaveLength(1);
    expect(await messagesOf(ALICE)).toEqual(['user: same', 'assistant: Echo: same']);

    const repeated = await nodes[0]!.as(ALICE)(
      'POST',
      '/secondme/invoke',
      { prompt: 'same' },
      { ...key, ...ASYNC },
    );
    expect(repeated.status).toBe(200);
    const other = await nodes[0]!.as(ALICE)('POST', '/secondme/invoke', { prompt: 'other' }, key);
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_mismatch']);
    const bobs = await nodes[0]!.as(BOB)('POST', '/secondme/invoke', { prompt: 'other' }, key);
    expect(bobs.body).toMatchObject({ reply: 'Echo: other' });
    const socket = await nodes[1]!.socket(ALICE);
    expect(await socket.call('secondme.invoke', { prompt: 'same', client_id: 'the-key' })).toEqual({
      invocation_id: answers[0]!.body.invocation_id,
      status: 'succeeded',
    });
  });

  test('a key of a wrong form is refused', async () => {
    const node = await startNode({ works: false });
    for (const key of ['', 'a b', 'a:b', 'x'.repeat(65)]) {
      const answer = await node.as(ALICE)(
        'POST',
        '/secondme/invoke',
        { prompt: 'x' },
        { 'Idempotency-Key': key },
      );
      expect([key, answer.status, answer.body.code]).toEqual([key, 400, 'invalid']);
    }
  });
});

describe('limits', () => {
  test('two run, ten wait, the thirteenth is refused; all twelve are done once', async () => {
    // Without a sweep: what ends brings the next one on.
    const timings = { rescueMs: 60_000, sweepMs: 60_000 };
    const nodes = [await startNode({ timings }), await startNode({ timings })];
    const held: Call[] = [];
    core.behave = (call) => void held.push(call);
    const ids = await Promise.all(
      Array.from({ length: 12 }, (_, i) => invokeLater(nodes[i % 2]!, ALICE, `p${i}`)),
    );
    const refused = await nodes[0]!.as(ALICE)('POST', '/secondme/invoke', { prompt: 'one more' }, ASYNC);
    expect([refused.status, refused.body.code]).toEqual([429, 'rate_limited']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    const bob = invokeLater(nodes[1]!, BOB, 'bob is not kept waiting');
    await until(() => held.length === 3, 'two of hers and his are called');
    core.behave = echo;
    held.forEach(echo);
    for (const id of [...ids, await bob])
      expect(await finished(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
    expect(core.calls).toHaveLength(13);
    expect(core.peak).toBeLessThanOrEqual(3);
    expect(await messagesOf(ALICE)).toHaveLength(24);
  });

  test('never more than two of a user are running', async () => {
    core.behave = () => {}; // a worker's own claim stays a running one
    await startNode();
    await startNode();
    const ids = [];
    for (let i = 0; i < 12; i++) ids.push(await storeSilently(ALICE, `p${i}`));
    const claims = await Promise.all(ids.map((id) => claimFor(id, 60_000)));
    expect(claims.filter(Boolean).length).toBeLessThanOrEqual(2);
    const running = await rows(db, `select id from secondme_invocations where status = 'running'`);
    expect(running).toHaveLength(2);
  });
});

describe('cancelling', () => {
  test('a running one is aborted on its worker, a queued one never runs, a finished one stays', async () => {
    const api = await startNode({ works: false });
    await startNode({ timings: { leaseMs: 60_000, renewMs: 60_000 } });
    const alice = api.as(ALICE);
    const socket = await api.socket(ALICE);
    const held: Call[] = [];
    core.behave = (call) => void held.push(call);
    const waiting = alice('POST', '/secondme/invoke', { prompt: 'p0' });
    await until(() => held.length === 1, 'the first runs');
    const second = await invokeLater(api, ALICE, 'p1');
    await until(() => held.length === 2, 'the second runs');
    const third = await invokeLater(api, ALICE, 'p2');
    const fourth = await invokeLater(api, ALICE, 'p3');

    expect((await api.as(BOB)('DELETE', `/secondme/invocations/${third}`)).status).toBe(404);
    expect(await socket.call('secondme.cancel', { invocation_id: third })).toEqual({
      invocation_id: third,
      status: 'cancelled',
    });
    const first = held[0]!.key;
    const cancelled = await alice('DELETE', `/secondme/invocations/${first}`);
    expect(Invocation.parse(cancelled.body)).toMatchObject({
      invocation_id: first,
      status: 'cancelled',
      reply: null,
    });
    expect([(await waiting).status, (await waiting).body.code]).toEqual([409, 'conflict']);
    await until(() => held[0]!.dropped, 'the call is aborted');
    await until(() => held.length === 3, 'the next one runs in its place');
    expect(held[2]!.key).toBe(fourth);
    held.slice(1).forEach(echo);
    await Promise.all([finished(second), finished(fourth)]);
    await socket.next('secondme.reply', ({ invocation_id }) => invocation_id === fourth);

    const again = await alice('DELETE', `/secondme/invocations/${second}`);
    expect(again.body).toMatchObject({ status: 'succeeded', reply: 'Echo: p1' });
    for (const id of [first, third]) {
      const own = socket.events.filter(({ payload }) => payload.invocation_id === id);
      expect(own.at(-1)).toEqual({
        name: 'secondme.status',
        payload: { invocation_id: id, status: 'cancelled' },
      });
      expect(own.some(({ name }) => name === 'secondme.reply')).toBe(false);
    }
    expect(core.calls.map(({ key }) => key)).not.toContain(third);
    expect(await messagesOf(ALICE)).not.toContain('assistant: Echo: p0');
  });

  test('news of it that got lost is noticed when the lease is renewed', async () => {
    const node = await startNode();
    core.behave = () => {};
    const id = await invokeLater(node, ALICE, 'x');
    await until(() => core.calls.length, 'the call begins');
    await db.raw(`update secondme_invocations set status = 'cancelled', finished_at = now() where id = ?`, [
      id,
    ]);
    await until(() => core.calls[0]!.dropped, 'the call is aborted');
  });
});

describe('without Agents Core', () => {
  const refuse = ({ response }: Call) => void response.writeHead(503).end();

  test('the user gets a fallback reply, stored like a reply', async () => {
    const node = await startNode();
    core.behave = refuse;
    const answer = await node.as(ALICE)('POST', '/secondme/invoke', { prompt: 'x' });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ reply: FALLBACK_REPLY, tokens_used: null, fallback: true });
    expect(await messagesOf(ALICE)).toEqual(['user: x', `assistant: ${FALLBACK_REPLY}`]);
    expect((await node.as(ALICE)('GET', '/secondme/profile')).body.total_interactions).toBe(1);
    expect(await node.metrics.invocations.get()).toMatchObject({
      values: [{ value: 1, labels: { outcome: 'fallback' } }],
    });
  });

  test('or an error, and nothing is stored', async () => {
    const node = await startNode({ fallback: 'error' });
    core.behave = refuse;
    const socket = await node.socket(ALICE);
    const key = { 'Idempotency-Key': 'k' };
    const answer = await node.as(ALICE)('POST', '/secondme/invoke', { prompt: 'x' }, key);
    expect([answer.status, answer.body.code]).toEqual([503, 'unavailable']);
    expect(answer.headers.get('retry-after')).not.toBeNull();
    expect(await messagesOf(ALICE)).toEqual([]);
    expect(await socket.next('secondme.reply')).toMatchObject({
      status: 'failed',
      reply: null,
      fallback: false,
    });
    expect((await node.as(ALICE)('POST', '/secondme/invoke', { prompt: 'x' }, key)).status).toBe(503);
    expect((await node.as(ALICE)('GET', '/secondme/profile')).body.total_interactions).toBe(0);
  });
});

describe('when workers die', () => {
  test('another takes over when the lease runs out, and the late end of the first is refused', async () => {
    const id = await storeSilently(ALICE, 'x');
    const claim = (await claimFor(id, 300))!;
    expect(claim.attempt).toBe(1);
    await startNode();
    expect(await finished(id)).toMatchObject({ status: 'succeeded', attempt: 2, reply: 'Echo: x' });
    const outcome = { reply: 'stale', tokens_used: 1, latency_ms: 1, fallback: false, error: null };
    expect(
      (await finishInvocation(db, { ...claim, attempt: 3 }, { status: 'failed', ...outcome }, newId('smmsg')))
        .stored,
    ).toBe(false);
    expect(
      (await finishInvocation(db, claim, { status: 'succeeded', ...outcome }, newId('smmsg'))).stored,
    ).toBe(false);
    expect(await invocation(id)).toMatchObject({ reply: 'Echo: x' });
    expect(await messagesOf(ALICE)).toEqual(['user: x', 'assistant: Echo: x']);
  });

  test('the end of an attempt that was overtaken is refused while the next one runs', async () => {
    const id = await storeSilently(ALICE, 'x');
    const first = (await claimFor(id, 1))!;
    const second = await until(() => claimFor(id, 60_000), 'the lease runs out');
    const outcome = {
      status: 'succeeded' as const,
      tokens_used: 1,
      latency_ms: 1,
      fallback: false,
      error: null,
    };
    expect((await finishInvocation(db, first, { ...outcome, reply: 'stale' }, newId('smmsg'))).stored).toBe(
      false,
    );
    expect(await invocation(id)).toMatchObject({ status: 'running', reply: null });
    expect((await finishInvocation(db, second, { ...outcome, reply: 'good' }, newId('smmsg'))).stored).toBe(
      true,
    );
    // A repeat after a lost answer is not an error, and stores nothing twice.
    expect((await finishInvocation(db, second, { ...outcome, reply: 'good' }, newId('smmsg'))).stored).toBe(
      true,
    );
    expect(await messagesOf(ALICE)).toEqual(['user: x', 'assistant: good']);
  });

  test('a lease is held as long as the call runs', async () => {
    const leaseMs = 600;
    const nodes = [await startNode({ timings: { leaseMs } }), await startNode({ timings: { leaseMs } })];
    const held: Call[] = [];
    core.behave = (call) => void held.push(call);
    const id = await invokeLater(nodes[0]!, ALICE, 'x');
    await until(() => held.length, 'the call begins');
    const began = (await invocation(id))['lease_until'] as string;
    const outlived = Date.parse(began) + 2 * leaseMs;
    await until(
      async () => Date.parse((await invocation(id))['lease_until'] as string) > outlived,
      'the lease moves on',
    );
    echo(held[0]!);
    expect(await finished(id)).toMatchObject({ attempt: 1, reply: 'Echo: x' });
    expect(core.calls).toHaveLength(1);
  });

  test('one whose lease may have run out says nothing more while another speaks', async () => {
    const frozen = await startNode({ timings: { leaseMs: 500, renewMs: 60_000, rescueMs: 60_000 } });
    const socket = await frozen.socket(ALICE);
    const held: Call[] = [];
    core.behave = (call) => void held.push(call);
    const id = await invokeLater(frozen, ALICE, 'x');
    await until(() => held.length === 1, 'the call begins');
    // Its run goes on, and it takes no other.
    const over = frozen.stopWork(60_000);
    await startNode();
    await until(() => held.length === 2, 'another takes over');
    sse(held[0]!.response, { delta: 'stale' }, { done: true });
    held[0]!.response.end();
    await over;
    echo(held[1]!);
    await socket.next('secondme.reply');
    expect(await invocation(id)).toMatchObject({ attempt: 2, reply: 'Echo: x' });
    expect(socket.of('secondme.delta').map(({ index, text }) => [index, text])).toEqual([
      [0, 'Echo'],
      [1, ': '],
      [2, 'x'],
    ]);
  });

  test('what it did not say is said when it still has the lease', async () => {
    const leaseMs = 500;
    const node = await startNode({ timings: { leaseMs, renewMs: 150, rescueMs: 60_000, sweepMs: 60_000 } });
    const socket = await node.socket(ALICE);
    const held: Call[] = [];
    core.behave = (call) => void held.push(call);
    const id = await invokeLater(node, ALICE, 'x');
    await until(() => held.length, 'the call begins');
    const leaseUntil = async () => Date.parse((await invocation(id))['lease_until'] as string);
    await db.transaction(async (trx) => {
      await trx.raw('select from secondme_invocations where id = ? for update', [id]);
      await until(async () => Date.now() > (await leaseUntil()), 'the lease runs out');
      sse(held[0]!.response, { delta: 'un' });
    });
    const soon = Date.now() + 100 + leaseMs;
    await until(async () => (await leaseUntil()) > soon, 'the lease is renewed again');
    sse(held[0]!.response, { delta: 'said' });
    await until(
      () =>
        socket
          .of('secondme.delta')
          .map(({ text }) => text)
          .join('') === 'unsaid',
      'it is said',
    );
  });

  test('a worker that stops hands its rows to another at once', async () => {
    const first = await startNode({ timings: { rescueMs: 60_000, sweepMs: 60_000 } });
    const held: Call[] = [];
    core.behave = (call) => void held.push(call);
    const id = await invokeLater(first, ALICE, 'x');
    await until(() => held.length, 'the call begins');
    await startNode({ timings: { rescueMs: 60_000, sweepMs: 60_000 } });
    core.behave = echo;
    await first.stopWork(0);
    expect(held[0]!.dropped).toBe(true);
    expect(await finished(id)).toMatchObject({ attempt: 2, reply: 'Echo: x' });
    expect(core.calls.map(({ key }) => key)).toEqual([id, id]);
  });
});

describe('when the news of an end is lost', () => {
  const endsOf = (socket: Awaited<ReturnType<Node['socket']>>, id: string) =>
    socket.events.filter(
      ({ name, payload }) =>
        payload.invocation_id === id && name !== 'secondme.delta' && payload.status !== 'running',
    );

  /** One that ends before any worker may see it. */
  const cancelSilently = (user: string) =>
    db.transaction(async (trx) => {
      const id = await storeSilently(user, 'never mind', trx);
      await trx.raw(
        `update secondme_invocations set status = 'cancelled', finished_at = now() where id = ?`,
        [id],
      );
      return id;
    });

  test('with Redis: all the sockets of the user get it once, on the node of the job and on the others', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'city-second-me-'));
    const options = { dataDir: folder, durable: false, log: () => {} };
    let redis = await startRedis(options);
    const [port, redisUrl] = [redis.port, redis.url];
    ends.push(
      () => rm(folder, { recursive: true, force: true }),
      () => redis.stop(),
    );
    const api = await startNode({ works: false, redisUrl, missedMs: 100 });
    const all = await startNode({ redisUrl, missedMs: 100 });
    const sockets = [await api.socket(ALICE), await all.socket(ALICE)];
    const held: Call[] = [];
    core.behave = (call) => void held.push(call);
    const answered = await invokeLater(api, ALICE, 'x');
    const cancelled = await invokeLater(api, ALICE, 'y');
    await until(() => held.length === 2, 'the calls begin');
    await redis.stop();
    await until(() => !api.redis.isUp() && !all.redis.isUp(), 'Redis is away');
    echo(held.find(({ key }) => key === answered)!);
    await api.as(ALICE)('DELETE', `/secondme/invocations/${cancelled}`);
    await finished(answered);
    redis = await startRedis({ ...options, port });
    await until(() => api.redis.isUp() && all.redis.isUp(), 'Redis is back');
    core.behave = echo;
    const after = await until(
      () => invokeLater(all, ALICE, 'z').catch(() => undefined),
      'a prompt is accepted',
    );
    for (const socket of sockets) {
      await socket.next('secondme.reply', ({ invocation_id }) => invocation_id === answered);
      await socket.next('secondme.status', ({ status }) => status === 'cancelled');
      await socket.next('secondme.reply', ({ invocation_id }) => invocation_id === after);
    }
    // What nobody told is told by the second look: whatever else a look may tell again has been told by then.
    const untold = await cancelSilently(ALICE);
    for (const socket of sockets) {
      await socket.next('secondme.status', ({ invocation_id }) => invocation_id === untold);
      const names = (id: string) =>
        endsOf(socket, id).map(({ name, payload }) => `${name} ${payload.status}`);
      expect(names(answered)).toEqual(['secondme.status succeeded', 'secondme.reply succeeded']);
      expect(endsOf(socket, answered).at(-1)!.payload).toMatchObject({
        reply: 'Echo: x',
        tokens_used: 7,
        fallback: false,
      });
      expect(names(cancelled)).toEqual(['secondme.status cancelled']);
    }
  });

  test('with its worker, dead between the commit and the telling: the sockets get it', async () => {
    const api = await startNode({ works: false, missedMs: 100 });
    const socket = await api.socket(ALICE);
    const id = await storeSilently(ALICE, 'x');
    const claim = (await claimFor(id, 60_000))!;
    const figures = { tokens_used: 3, latency_ms: 1, fallback: false };
    const outcome = { status: 'succeeded' as const, reply: 'stored, not told', ...figures };
    await finishInvocation(db, claim, { ...outcome, error: null }, newId('smmsg'));
    expect(await socket.next('secondme.reply')).toEqual({ invocation_id: id, ...outcome });
    expect(socket.events.map(({ name }) => name)).toEqual(['secondme.status', 'secondme.reply']);
  });

  test('before a node has started: it is not told again, also when its id has the time of a clock that is ahead', async () => {
    const nothing = { tokens_used: null, latency_ms: 1, fallback: false, error: null };
    const end = async (reply: string) => {
      const id = await storeSilently(ALICE, reply);
      const claim = (await claimFor(id, 60_000))!;
      await finishInvocation(db, claim, { status: 'succeeded', reply, ...nothing }, newId('smmsg'));
      return id;
    };
    const old = await end('told long ago');
    await db.raw('update secondme_invocations set id = ? where id = ?', [`sminv_7${'Z'.repeat(25)}`, old]);
    const api = await startNode({ works: false, missedMs: 100 });
    const socket = await api.socket(ALICE);
    await end('not told');
    await socket.next('secondme.reply', ({ reply }) => reply === 'not told');
    expect(socket.of('secondme.reply')).toHaveLength(1);
  });
});

describe('when hints are lost', () => {
  test('Redis is emptied with rows queued: all are done, each once', async () => {
    const api = await startNode({ works: false });
    const ids = [];
    for (let i = 0; i < 20; i++) ids.push(await invokeLater(api, `u_${i % 5}`, `p${i}`));
    await api.redis.commands.flushdb();
    await startNode();
    await startNode();
    for (const id of ids) expect(await finished(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
    expect(core.calls.map(({ key }) => key).sort()).toEqual(ids.sort());
  });

  test('a row that nobody was told of is found', async () => {
    await startNode();
    const id = await storeSilently(ALICE, 'x');
    expect(await finished(id)).toMatchObject({ status: 'succeeded', attempt: 1 });
  });

  test('without Redis the answer is 202 at once, and the work is done when it is back', async () => {
    const proxy = await startProxy(lease.url);
    ends.unshift(() => proxy.stop());
    const node = await startNode({ redisUrl: proxy.url, timings: { sweepMs: 60_000 } });
    proxy.cut();
    await until(() => !node.redis.isUp(), 'Redis is away');
    const began = Date.now();
    const answer = await node.as(ALICE)('POST', '/secondme/invoke', { prompt: 'x' });
    expect([answer.status, answer.body.status]).toEqual([202, 'queued']);
    expect(Date.now() - began).toBeLessThan(10_000); // the longest wait is 15 s
    proxy.heal();
    expect(await finished(answer.body.invocation_id)).toMatchObject({
      status: 'succeeded',
      reply: 'Echo: x',
    });
  });

  test('a job with wrong data is dropped, not retried', async () => {
    const node = await startNode();
    const producer = createProducer(lease.url, JOB_NAMES, log);
    ends.push(() => producer.close());
    await until(
      () =>
        producer.add('secondme.invoke', { wrong: 1 }, { jobId: 'wrong', attempts: 5, backoffMs: 1 }).then(
          () => true,
          () => false,
        ),
      'the job is added',
    );
    const counted = async () =>
      (await node.metrics.jobs.get()).values.map(({ labels, value }) => [labels, value]);
    await until(async () => (await counted()).length, 'the job is counted');
    await until(async () => (await producer.queues[0]!.getJobCountByTypes()) === 0, 'the job is gone');
    expect(await counted()).toEqual([[{ job: 'secondme.invoke', outcome: 'invalid' }, 1]]);
  });

  test('a producer made while Redis is away works once it is there', async () => {
    const proxy = await startProxy(lease.url);
    ends.push(() => proxy.stop());
    proxy.cut();
    const producer = createProducer(proxy.url, JOB_NAMES, log);
    ends.push(() => producer.close());
    const enqueue = createEnqueue(producer);
    const add = () => enqueue('feed.fanout', { room_ids: ['room_city_x'] }, { jobId: 'x' });
    await expect(add()).rejects.toThrow();
    proxy.heal();
    await until(
      () =>
        add().then(
          () => true,
          () => false,
        ),
      'a job is added',
    );
  });
});
