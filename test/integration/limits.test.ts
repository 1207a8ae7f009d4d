/** What each limit lets through: while Redis counts for the city, while it is away, while it hangs, while it flaps. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../dev/services/programs.ts';
import type { Service } from '../../dev/services/programs.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { countedOf, inRedis } from '../support/counted.ts';
import { startProxy } from '../support/proxy.ts';
import type { Proxy } from '../support/proxy.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const ROOM = 'general';
/** At one a second a window holds 8: each node gives out 2 by itself, and 6 are counted in Redis. */
const ONE_NODE = 8;
const IN_REDIS = 6;
const OWN = 2;
/** More than two nodes allow without Redis. */
const MANY = 20;
const WINDOW_MS = 4_000;

const USER_LIMITS = {
  LIMIT_SEND: '1',
  LIMIT_NEW_ROOM: '1',
  LIMIT_JOIN: '1',
  LIMIT_READ: '1',
  LIMIT_TYPING: '1',
  LIMIT_PRESENCE: '1',
  LIMIT_INVOKE: '1',
  LIMIT_CONNECT: '1',
};
const ADDRESS_LIMITS = {
  LIMIT_CONNECT_ADDRESS: '1',
  LIMIT_REQUEST_ADDRESS: '1',
  LIMIT_EVENT_ADDRESS: '1',
  LIMIT_TOKEN_ADDRESS: '1',
};

let folder: string;
let redis: Service;
let proxy: Proxy;
let users: City;
let addresses: City;
const opsPorts: number[] = [];
const sockets: TestSocket[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-limits-'));
  redis = await startRedis({ dataDir: join(folder, 'redis'), durable: false, log: () => {} });
  proxy = await startProxy(redis.port);
  for (let n = 0; n < 4; n++) opsPorts.push(await freePort());
  const nodes = opsPorts.map((port) => ({ OPS_PORT: String(port) }));
  const redisUrl = `redis://127.0.0.1:${proxy.port}`;
  const env = { RATE_LIMITS: 'on', TRUST_PROXY_HOPS: '1' };
  users = await startCity({ redisUrl, nodes: nodes.slice(0, 2), env: { ...env, ...USER_LIMITS } });
  addresses = await startCity({ redisUrl, nodes: nodes.slice(2), env: { ...env, ...ADDRESS_LIMITS } });
}, 60_000);
afterAll(async () => {
  for (const socket of sockets) socket.close();
  await Promise.all([users.stop(), addresses.stop()]);
  await proxy.close();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

let people = 0;
/** Somebody nobody has seen yet, at an address of their own. */
const stranger = () => {
  people += 1;
  return { id: `u_limits_${people}`, address: `10.9.${people >> 8}.${people & 255}` };
};
type Person = ReturnType<typeof stranger>;

const open = async (city: City, namespace: string, { id, address }: Person, node: number) => {
  const socket = await connect(city.url(node) + namespace, await city.token(id), {
    extraHeaders: { 'X-Forwarded-For': address },
    transports: ['websocket'],
  });
  sockets.push(socket);
  return socket;
};
const restOf = async (city: City, { id, address }: Person, node: number) => {
  const rest = createRest(city.url(node), await city.token(id));
  return async (method: string, path: string, body?: unknown) => {
    const answer = await rest(method, path, body, { 'x-forwarded-for': address });
    if (answer.status === 429) {
      expect(answer.body.code).toBe('rate_limited');
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(WINDOW_MS / 1000);
    }
    return answer.status < 300 ? 'ok' : String(answer.body.code);
  };
};
/** The code of an acknowledgement. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
const codeOf = ({ ok, error }: any): string => {
  if (ok) return 'ok';
  if (error.code === 'rate_limited') {
    expect(error.retryable).toBe(true);
    expect(error.retry_after_ms).toBeGreaterThan(0);
    expect(error.retry_after_ms).toBeLessThanOrEqual(WINDOW_MS);
  }
  return error.code;
};
const refusals = (limit: string) => countedOf(opsPorts, 'city_limit_refusals_total', limit);

/** Something done once by `person` on a node: prepared first, so that a flood of it fits into one window. */
type Deed = (person: Person, node: number) => Promise<() => Promise<string>>;
const event =
  (name: string, payload: () => unknown, namespace = '/rooms'): Deed =>
  async (person, node) => {
    const socket = await open(users, namespace, person, node);
    return async () => codeOf(await socket.ack(name, payload()));
  };
const call =
  (city: () => City, method: string, path: string, body?: () => unknown): Deed =>
  async (person, node) => {
    const rest = await restOf(city(), person, node);
    return () => rest(method, path, body?.());
  };
const handshake =
  (city: () => City): Deed =>
  async (person, node) =>
  () =>
    open(city(), '/rooms', person, node).then(
      () => 'ok',
      (error: { data?: { code: string }; description?: unknown }) => error.data?.code ?? 'refused',
    );

const DEEDS: Record<string, Deed> = {
  send: event('room.message.send', () => ({ room_id: ROOM, body: 'x' })),
  'send over REST': call(
    () => users,
    'POST',
    `/city/rooms/${ROOM}/messages`,
    () => ({ body: 'x' }),
  ),
  new_room: call(
    () => users,
    'POST',
    '/city/rooms',
    () => ({ name: 'room', slug: `r-${randomUUID()}` }),
  ),
  join: event('room.join', () => ({ room_id: ROOM })),
  'join over REST': call(() => users, 'POST', `/city/rooms/${ROOM}/join`),
  read: event('room.read', () => ({ room_id: ROOM, seq: 0 })),
  'read over REST': call(() => users, 'GET', '/city/rooms'),
  connect: handshake(() => users),
  connect_address: handshake(() => addresses),
  request_address: call(() => addresses, 'GET', '/city/rooms'),
  // The handshake is one of the events.
  event_address: async (person, node) => {
    const socket = await open(addresses, '/rooms', person, node);
    return async () => codeOf(await socket.ack('room.read', { room_id: ROOM, seq: 0 }));
  },
};

/** How often each answer came when somebody did `deed` `MANY` times on each of `nodes`, all inside one window. */
async function flood(deed: Deed, nodes: number[]): Promise<Record<string, number>> {
  for (;;) {
    const person = stranger();
    const acts = await Promise.all(nodes.map((node) => deed(person, node)));
    const begin = Date.now();
    const answers = await Promise.all(acts.flatMap((act) => Array.from({ length: MANY }, act)));
    if (Date.now() - begin > WINDOW_MS - 500) continue; // a slow machine: part of it fell into the next window
    const counts: Record<string, number> = {};
    for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
    return counts;
  }
}

/** What a flood on two nodes gets. The handshake of event_address has been one of each node's own. */
const got = (limit: string, all: number) => {
  const ok = limit === 'event_address' ? all - 2 : all;
  const refused = limit === 'connect_address' ? 'refused' : 'rate_limited';
  return { ok, [refused]: 2 * MANY - ok };
};
const ready = async (status: string) => {
  for (const city of [users, addresses]) {
    for (const node of [0, 1]) {
      const rest = createRest(city.url(node), undefined);
      await until(async () => (await rest('GET', '/health/ready')).body.status === status, status);
    }
  }
};
/** `MANY` of an event that is dropped past its limit: how many were, and what became of the connection. */
const dropped = async (limit: string, event: string, payload: unknown, namespace: string) => {
  const person = stranger();
  const socket = await open(users, namespace, person, 0);
  if (limit === 'typing') await socket.call('room.join', { room_id: ROOM });
  const before = await refusals(limit);
  const acks = await Promise.all(Array.from({ length: MANY }, () => socket.ack(event, payload)));
  return {
    dropped: (await refusals(limit)) - before,
    answers: new Set(acks.filter(({ ok }) => ok).map(({ data }) => JSON.stringify(data))),
    refused: acks.filter(({ ok, error }) => !ok && error.code === 'rate_limited').length,
    connected: socket.raw.connected,
  };
};
const SILENTLY = { dropped: MANY - ONE_NODE, refused: 0, connected: true };
const HELD = JSON.stringify({ status: 'online', ttl_s: 40, interval_s: 20 });
const typing = () => dropped('typing', 'room.typing', { room_id: ROOM, typing: true }, '/rooms');
const heartbeats = () => dropped('presence', 'presence.heartbeat', {}, '/presence');
const tokens = async () => {
  const codes = await flood(
    call(
      () => addresses,
      'POST',
      '/auth/dev-token',
      () => ({ user_id: 'u_token' }),
    ),
    [0],
  );
  return codes;
};

describe('with Redis', () => {
  it.each(Object.keys(DEEDS))('%s is counted for both nodes together', async (limit) => {
    expect(await inRedis(opsPorts, () => flood(DEEDS[limit]!, [0, 1]))).toEqual(
      got(limit, IN_REDIS + 2 * OWN),
    );
  });

  it('somebody on one node has the whole allowance', async () => {
    const counts = await inRedis(opsPorts, () => flood(DEEDS['send']!, [0]));
    expect(counts).toEqual({ ok: ONE_NODE, rate_limited: MANY - ONE_NODE });
  });

  it.each([
    ['typing is', typing, '{}'],
    ['heartbeats are', heartbeats, HELD],
  ])('%s dropped silently', async (_, act, answer) => {
    expect(await inRedis(opsPorts, act)).toEqual({ ...SILENTLY, answers: new Set([answer]) });
  });

  it('invocations are refused past the limit', async () => {
    const deed = event('secondme.invoke', () => ({ prompt: 'x' }));
    const refused = await inRedis(opsPorts, async () => {
      const before = await refusals('invoke');
      await flood(deed, [0]);
      return (await refusals('invoke')) - before;
    });
    expect(refused).toBe(MANY - ONE_NODE);
  });

  it('tokens are refused past the limit', async () => {
    // Every request is one of the address, too.
    expect(await inRedis(opsPorts, tokens)).toEqual({ ok: ONE_NODE, rate_limited: MANY - ONE_NODE });
  });

  it('what was refused is allowed after the time that was named, and nobody else is held up', async () => {
    const person = stranger();
    const socket = await open(users, '/rooms', person, 0);
    const send = () => socket.ack('room.message.send', { room_id: ROOM, body: 'x' });
    const acks = await Promise.all(Array.from({ length: MANY }, send));
    const wait = Math.max(...acks.map(({ error }) => error?.retry_after_ms ?? 0));
    const end = Date.now() + wait;
    const other = await open(users, '/rooms', stranger(), 0);
    expect(codeOf(await other.ack('room.message.send', { room_id: ROOM, body: 'x' }))).toBe('ok');
    await until(() => Date.now() > end, 'the time that was named');
    expect(codeOf(await send())).toBe('ok');
    expect(socket.raw.connected).toBe(true);
  });

  it('unknown and malformed events are counted as well', async () => {
    const person = stranger();
    const deed: Deed = async (_person, node) => {
      const socket = await open(users, '/rooms', person, node);
      return async () => codeOf(await socket.ack('no.such.event', { room_id: 7 }));
    };
    expect(await inRedis(opsPorts, () => flood(deed, [0]))).toEqual({
      invalid: ONE_NODE,
      rate_limited: MANY - ONE_NODE,
    });
  });
});

describe('with a Redis that hangs', () => {
  it('one call in a while waits for it, and the others go on without', async () => {
    const person = stranger();
    const socket = await open(users, '/rooms', person, 0);
    const send = async () => codeOf(await socket.ack('room.message.send', { room_id: ROOM, body: 'x' }));
    let asked = 0;
    proxy.strand((data) => {
      asked += data.toString().split(`limit:send:${person.id}`).length - 1;
    });
    const codes: string[] = [];
    for (let n = 0; n < ONE_NODE; n++) codes.push(await send());
    expect(codes).toEqual(Array<string>(ONE_NODE).fill('ok'));
    expect(asked).toBe(1);
    await ready('ok');
  });
});

describe('without Redis', () => {
  let port: number;
  beforeAll(async () => {
    port = proxy.port;
    await proxy.close();
    await ready('degraded');
  }, 30_000);
  afterAll(async () => {
    proxy = await startProxy(redis.port, port);
    await ready('ok');
  }, 30_000);

  it.each(Object.keys(DEEDS))('%s is counted by each node alone', async (limit) => {
    expect(await flood(DEEDS[limit]!, [0, 1])).toEqual(got(limit, 2 * ONE_NODE));
  });

  it.each([
    ['typing is', typing, '{}'],
    ['heartbeats are', heartbeats, HELD],
  ])('%s dropped silently', async (_, act, answer) => {
    expect(await act()).toEqual({ ...SILENTLY, answers: new Set([answer]) });
  });

  it('a quarter of the invocations is accepted', async () => {
    const codes = await flood(
      event('secondme.invoke', () => ({ prompt: 'x' })),
      [0],
    );
    expect(codes).toEqual({ ok: OWN, rate_limited: MANY - OWN });
  });

  it('no token is given out uncounted', async () => {
    const rest = createRest(addresses.url(), undefined);
    const { status, body, headers } = await rest(
      'POST',
      '/auth/dev-token',
      { user_id: 'u_token' },
      { 'x-forwarded-for': stranger().address },
    );
    expect([status, body.code, headers.get('retry-after')]).toEqual([503, 'unavailable', '1']);
  });
});

describe('with a Redis that comes and goes', () => {
  it('everybody keeps at least their allowance, is refused beyond, and stays connected', async () => {
    const { port } = proxy;
    let flapping = true;
    const flaps = (async () => {
      while (flapping) {
        await proxy.close();
        await until(async () => !(await isUp()), 'Redis is missed');
        proxy = await startProxy(redis.port, port);
        await until(isUp, 'Redis is found');
      }
    })();
    for (let round = 0; round < 5; round++) {
      const counts = await flood(DEEDS['send']!, [0, 1]);
      expect(Object.keys(counts).sort()).toEqual(['ok', 'rate_limited']);
      expect(counts['ok']).toBeGreaterThanOrEqual(ONE_NODE);
      // What Redis gave before it went, and what the nodes gave after that.
      expect(counts['ok']).toBeLessThanOrEqual(2 * ONE_NODE + IN_REDIS);
    }
    flapping = false;
    await flaps;
    // A node asks Redis again a while after it failed.
    const ok = async () => (await flood(DEEDS['send']!, [0, 1]))['ok'];
    await until(async () => (await ok()) === IN_REDIS + 2 * OWN, 'both nodes count in Redis again', 20_000);
    expect(sockets.filter(({ raw }) => !raw.connected)).toEqual([]);
  });

  const isUp = async () =>
    (await createRest(users.url(), undefined)('GET', '/health/ready')).body.status === 'ok';
});
