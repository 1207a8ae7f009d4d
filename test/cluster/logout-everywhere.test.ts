/** What changes about somebody's token takes effect on their live sockets, on every node, with and without Redis. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Service } from '../../dev/services/programs.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { startProxy } from '../support/proxy.ts';
import type { Proxy } from '../support/proxy.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { forge, HOUR, now, OK, REFUSED, tried } from '../support/tokens.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-that-only-this-test-knows-0123456789';
/** The contract's two seconds, and four for a machine that stalls. */
const AT_ONCE_MS = 6_000;
const NODES = [0, 1, 2];
const NAMESPACES = ['/rooms', '/presence'] as const;
const EVERYWHERE = NODES.flatMap((node) => NAMESPACES.map((namespace) => ({ node, namespace })));

let folder: string;
let redis: Service;
let proxy: Proxy;
let city: City;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-logout-'));
  redis = await startRedis({ dataDir: join(folder, 'redis'), durable: false, log: () => {} });
  proxy = await startProxy(redis.port);
  city = await startCity({
    redisUrl: `redis://127.0.0.1:${proxy.port}`,
    nodes: NODES.map(() => ({})),
    env: { JWT_SECRET: SECRET, RATE_LIMITS: 'on' },
  });
}, 60_000);
afterAll(async () => {
  await city.stop();
  await proxy.close();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

const token = (sub: string, more: object = {}) =>
  forge({ sub, iat: now(), exp: now() + HOUR, ...more }, SECRET);
const logOut = (held: string, node: number) =>
  createRest(city.url(node), held)('POST', '/auth/logout-everywhere');
const statuses = async (held: string) =>
  Promise.all(
    NODES.map(async (node) => (await createRest(city.url(node), held)('GET', '/city/rooms')).status),
  );
/** A socket in every namespace of every node. */
const everywhere = (held: string) =>
  Promise.all(EVERYWHERE.map(({ node, namespace }) => connect(city.url(node) + namespace, held)));
type Sockets = Awaited<ReturnType<typeof everywhere>>;
const left = (sockets: Sockets) => sockets.filter(({ raw }) => raw.connected).length;
const close = (sockets: Sockets) => sockets.forEach((socket) => socket.close());

const withAndWithoutRedis = (state: string) => {
  it('ends every socket of the user and no other, and every token issued before', async () => {
    const user = `u_out_${state}`;
    const held = token(user);
    const sockets = await everywhere(held);
    const reasons: string[] = [];
    for (const { raw } of sockets) raw.on('disconnect', (reason) => reasons.push(reason));
    const others = await everywhere(token(`u_other_${state}`));
    // A token that does not say when it was issued counts until the first logout.
    const undated = forge({ sub: user, exp: now() + HOUR }, SECRET);
    expect(await statuses(undated)).toEqual([200, 200, 200]);

    const begin = Date.now();
    const answering = logOut(held, 1);
    const gone = until(() => left(sockets) === 0, 'every socket gone', AT_ONCE_MS);
    const refused = until(
      async () => (await statuses(held)).every((status) => status === 401),
      'refused by every node',
      AT_ONCE_MS,
    );
    const answer = await answering;
    expect(answer.status).toBe(200);
    expect(Date.parse(answer.body.tokens_not_before)).toBeGreaterThan(begin);
    await Promise.all([gone, refused]);
    expect(reasons).toEqual(EVERYWHERE.map(() => 'io server disconnect'));

    // Minted right after the answer, in the very second of it.
    const fresh = token(user);
    for (const node of NODES) {
      expect(await tried(city.url(node), fresh)).toEqual(OK);
      expect(await tried(city.url(node), held)).toEqual(REFUSED);
      expect(await tried(city.url(node), undated)).toEqual(REFUSED);
    }
    const back = await everywhere(fresh);
    for (const socket of back) {
      expect((await socket.ack('auth.refresh', { token: held })).error.code).toBe('unauthenticated');
      expect(await socket.ack('auth.refresh', { token: token(user) })).toMatchObject({ ok: true });
    }
    expect(left(back)).toBe(EVERYWHERE.length);
    expect(left(others)).toBe(EVERYWHERE.length);
    const body = `after ${state}`;
    await others[0]!.call('room.join', { room_id: 'general' });
    await others[0]!.call('room.message.send', { room_id: 'general', body });
    await others[0]!.next('room.message', ({ message }) => message.body === body);
    close([...back, ...others]);
  });

  it('leaves no socket to those who come in at the same moment', async () => {
    const user = `u_racing_${state}`;
    const held = token(user);
    const came: Sockets = [];
    const coming = Array.from({ length: 60 }, async (_, n) => {
      const socket = await connect(`${city.url(n % 3)}/${n % 2 ? 'rooms' : 'presence'}`, held, {
        transports: ['websocket'],
      }).catch(() => undefined);
      if (socket) came.push(socket);
    });
    const { status } = await logOut(held, 0);
    expect(status).toBe(200);
    await Promise.all(coming);
    await until(() => left(came) === 0, 'none left', AT_ONCE_MS);
  });
};

describe('logging out everywhere', () => {
  withAndWithoutRedis('with_redis');

  it('again changes nothing for the worse, and is for services as well', async () => {
    for (const sub of ['u_twice', 'svc_bot']) {
      for (let round = 0; round < 2; round++) {
        const held = token(sub);
        expect((await logOut(held, round)).status).toBe(200);
        expect((await logOut(held, round)).status).toBe(401);
        await until(async () => (await statuses(held)).every((status) => status === 401), 'refused');
      }
      expect(await statuses(token(sub))).toEqual([200, 200, 200]);
    }
  });

  it('needs a token', async () => {
    expect((await createRest(city.url(), undefined)('POST', '/auth/logout-everywhere')).status).toBe(401);
  });

  it('is known to a node that starts later', async () => {
    const held = token('u_before');
    await logOut(held, 0);
    await city.start();
    expect(await tried(city.url(3), held)).toEqual(REFUSED);
    expect(await tried(city.url(3), token('u_before'))).toEqual(OK);
  });

  describe('without Redis', () => {
    let port: number;
    beforeAll(async () => {
      port = proxy.port;
      await proxy.close();
    });
    afterAll(async () => {
      proxy = await startProxy(redis.port, port);
    });
    withAndWithoutRedis('without_redis');
  });
});

it('a socket whose handshake was under way during the logout does not stay', async () => {
  // A handshake that waits for its limit, of a Redis that hangs.
  const link = await startProxy(redis.port);
  const slow = await startCity({
    redisUrl: `redis://127.0.0.1:${link.port}`,
    env: { JWT_SECRET: SECRET, RATE_LIMITS: 'on', LIMIT_CONNECT: '1' },
  });
  const user = 'u_under_way';
  const held = token(user);
  const open = () => connect(`${slow.url()}/rooms`, held, { transports: ['websocket'] });
  const sockets = await Promise.all([open(), open()]);
  let waiting = false;
  link.strand((data) => {
    waiting ||= data.includes(`limit:connect:${user}`);
  });
  const coming = open();
  await until(() => waiting, 'past the check of its token');
  const answer = await createRest(slow.url(), held)('POST', '/auth/logout-everywhere');
  expect(answer.status).toBe(200);
  sockets.push(await coming);
  await until(() => left(sockets) === 0, 'none left', AT_ONCE_MS);
  await slow.stop();
  await link.close();
});

describe('on every node and in both namespaces', () => {
  it('a token that expires ends its sockets, and a refresh keeps those of its own connection', async () => {
    const exp = now() + 8;
    const sockets = await everywhere(token('u_short', { exp }));
    const kept = await everywhere(token('u_kept', { exp }));
    const later = now() + HOUR;
    for (const socket of kept) await socket.call('auth.refresh', { token: token('u_kept', { exp: later }) });
    await until(() => left(sockets) === 0, 'expired');
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000 - 50);
    expect(Date.now()).toBeLessThan(exp * 1000 + AT_ONCE_MS);
    expect(left(kept)).toBe(EVERYWHERE.length);
    close(kept);
  });

  it('a role that the next token does not have any more is gone at once', async () => {
    const room_id = 'welcome';
    const author = await connect(`${city.url()}/rooms`, token('u_author'));
    const { message } = await author.call('room.message.send', { room_id, body: 'to be kept' });
    for (const node of NODES) {
      for (const refreshing of NAMESPACES) {
        // Both namespaces over one connection: a refresh in either is for both.
        const held = token('u_demoted', { roles: ['moderator'] });
        const rooms = await connect(`${city.url(node)}/rooms`, held);
        const presence = rooms.raw.io.socket('/presence', { auth: { token: held } });
        await until(() => presence.connected, 'the second namespace');
        const { message: own } = await author.call('room.message.send', { room_id, body: 'may go' });
        await rooms.call('room.message.delete', { room_id, message_id: own.id });
        const via = refreshing === '/rooms' ? rooms.raw : presence;
        await via.emitWithAck('auth.refresh', { token: token('u_demoted') });
        const { error } = await rooms.ack('room.message.delete', { room_id, message_id: message.id });
        expect([node, refreshing, error?.code]).toEqual([node, refreshing, 'forbidden']);
        rooms.close();
      }
    }
    author.close();
  });
});
