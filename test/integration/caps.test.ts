/** How much there may be at once: connections, rooms and subscriptions of one; and nobody else is hurt by it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { freePort } from '../../dev/services/programs.ts';
import { connect as dial } from 'node:net';
import type { Socket } from 'node:net';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

let city: City;
let opsPort: number;
beforeAll(async () => {
  opsPort = await freePort();
  city = await startCity({
    nodes: [{ OPS_PORT: String(opsPort) }],
    env: {
      RATE_LIMITS: 'on',
      TRUST_PROXY_HOPS: '1',
      MAX_CONNECTIONS_USER: '3',
      MAX_CONNECTIONS_ADDRESS: '5',
      MAX_UNAUTHENTICATED_ADDRESS: '2',
      MAX_ROOMS_SOCKET: '2',
      MAX_SUBSCRIPTIONS_SOCKET: '10',
    },
  });
});
afterAll(() => city.stop());

const opened: { close(): void }[] = [];
afterEach(() => {
  for (const each of opened.splice(0)) each.close();
});
let nets = 0;
/** An address nobody has used yet. */
const address = () => `10.8.0.${++nets}`;

const open = async (userId: string, from: string, namespace = '/rooms'): Promise<TestSocket> => {
  const socket = await connect(city.url() + namespace, await city.token(userId), {
    extraHeaders: { 'X-Forwarded-For': from },
    transports: ['websocket'],
  });
  opened.push(socket);
  return socket;
};
const codeOf = (opening: Promise<unknown>) =>
  opening.then(
    () => 'ok',
    (error: { data?: { code: string } }) => error.data?.code ?? 'refused',
  );
const refusals = async (limit: string) => {
  const text = await (await fetch(`http://127.0.0.1:${opsPort}/metrics`)).text();
  return Number(new RegExp(`city_limit_refusals_total{limit="${limit}"} (\\d+)`).exec(text)?.[1] ?? 0);
};

describe('connections of one user', () => {
  it('past the cap are refused with a code, in each namespace by itself, and the others live on', async () => {
    const tries = await Promise.all(
      Array.from({ length: 6 }, () => codeOf(open('u_many', address()))), // at once, from everywhere
    );
    expect(tries.sort()).toEqual(['ok', 'ok', 'ok', 'rate_limited', 'rate_limited', 'rate_limited']);
    expect(await refusals('connections_user')).toBe(3);
    expect(await codeOf(open('u_many', address(), '/presence'))).toBe('ok');
    expect(await codeOf(open('u_other', address()))).toBe('ok');
    expect(opened.every((socket) => (socket as TestSocket).raw.connected)).toBe(true);

    opened.shift()!.close();
    await until(async () => (await codeOf(open('u_many', address()))) === 'ok', 'room for one more');
    expect(await codeOf(open('u_many', address()))).toBe('rate_limited');
  });

  it('are counted down however they end', async () => {
    for (const end of ['disconnect', 'transport'] as const) {
      for (let n = 0; n < 5; n++) {
        const from = address();
        const socket = await until(() => open(`u_${end}`, from).catch(() => undefined), 'let in');
        if (end === 'disconnect') socket.raw.disconnect();
        else socket.raw.io.engine.close();
      }
    }
  });

  it('say in the refusal that it may be tried again', async () => {
    for (let n = 0; n < 3; n++) await open('u_told', address());
    const error = (await open('u_told', address()).catch((refusal: unknown) => refusal)) as { data: unknown };
    expect(error.data).toMatchObject({ code: 'rate_limited', retryable: true });
    expect((error.data as { retry_after_ms: number }).retry_after_ms).toBeGreaterThan(0);
  });
});

describe('connections of one address', () => {
  it('past the cap are refused, and other addresses are not', async () => {
    const from = address();
    const users = ['u_a', 'u_b', 'u_c', 'u_d', 'u_e'];
    for (const user of users) expect(await codeOf(open(user, from))).toBe('ok');
    expect(await codeOf(open('u_f', from))).toBe('refused');
    expect(await refusals('connections_address')).toBe(1);
    expect(await codeOf(open('u_f', address()))).toBe('ok');
    expect(opened.every((socket) => (socket as TestSocket).raw.connected)).toBe(true);
    opened.shift()!.close();
    await until(async () => (await codeOf(open('u_f', from))) === 'ok', 'room for one more');
  });
});

describe('connections without a token', () => {
  /** A handshake over a WebSocket that says nothing more. */
  const knock = async (from: string): Promise<{ socket: Socket; status: string }> => {
    const socket = dial(new URL(city.url()).port as unknown as number, '127.0.0.1');
    opened.push({ close: () => socket.destroy() });
    socket.write(
      'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n' +
        `Connection: Upgrade\r\nSec-WebSocket-Key: c2l4dGVlbmJ5dGVzbG9uZw==\r\nSec-WebSocket-Version: 13\r\n` +
        `X-Forwarded-For: ${from}\r\n\r\n`,
    );
    const [answer] = (await once(socket, 'data')) as [Buffer];
    return { socket, status: answer.toString().split('\r\n')[0]! };
  };

  it('are few, and leave room again when they show one or go', async () => {
    const from = address();
    const silent = [await knock(from), await knock(from)];
    expect(silent.map(({ status }) => status)).toEqual(Array(2).fill('HTTP/1.1 101 Switching Protocols'));
    expect((await knock(from)).status).toBe('HTTP/1.1 429 Too many requests');
    expect(await refusals('unauthenticated_address')).toBe(1);
    expect(await codeOf(open('u_late', from))).toBe('refused');
    expect(await codeOf(open('u_late', address()))).toBe('ok');

    silent[0]!.socket.destroy();
    await until(async () => (await codeOf(open('u_late', from))) === 'ok', 'room for one');
    // That one has shown its token, so there is room for another.
    expect(await codeOf(open('u_later', from))).toBe('ok');
  });

  it('do not become fewer by tokens that are refused', async () => {
    const from = address();
    const badly = async () =>
      connect(`${city.url()}/rooms`, 'nonsense', {
        extraHeaders: { 'X-Forwarded-For': from },
        transports: ['websocket'],
      }).catch((error: { data?: { code: string } }) => error.data?.code ?? 'refused');
    // The client closes after a refusal, so that each makes room for the next.
    for (let n = 0; n < 6; n++) {
      await until(async () => (await badly()) === 'unauthenticated', 'let in as far as the token');
    }
    expect(await codeOf(open('u_good', from))).toBe('ok');
  });

  it('a refused one that goes away in the middle ends nothing', async () => {
    const from = address();
    await Promise.all([knock(from), knock(from)]);
    for (let n = 0; n < 20; n++) {
      const socket = dial(new URL(city.url()).port as unknown as number, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(
        `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Forwarded-For: ${from}\r\n\r\n`,
      );
      await once(socket, 'connect');
      socket.resetAndDestroy();
    }
    expect((await createRest(city.url(), undefined)('GET', '/health/live')).status).toBe(200);
  });
});

describe('what one socket holds', () => {
  it('rooms past the cap are refused with a code; leaving one makes room; what is open stays', async () => {
    const socket = await open('u_rooms', address());
    const rooms = ['general', 'welcome', 'builders', 'science'];
    const acks = await Promise.all(rooms.map((room_id) => socket.ack('room.join', { room_id })));
    expect(acks.filter(({ ok }) => ok)).toHaveLength(2); // at once, and no more than two all the same
    expect(acks.find(({ ok }) => !ok).error).toMatchObject({ code: 'rate_limited', retryable: true });
    expect(await refusals('rooms_socket')).toBe(2);
    const inside = rooms.filter((_, n) => acks[n].ok);
    const outside = rooms.filter((_, n) => !acks[n].ok);
    expect((await socket.ack('room.join', { room_id: inside[0] })).ok).toBe(true); // again is not one more
    expect((await socket.ack('room.join', { room_id: outside[0] })).error.code).toBe('rate_limited');
    await socket.call('room.leave', { room_id: inside[0] });
    await socket.call('room.join', { room_id: outside[0] });
    const sender = await open('u_sender', address());
    await sender.call('room.message.send', { room_id: inside[1], body: 'still here' });
    expect((await socket.next('room.message')).message.body).toBe('still here');
  });

  it('a refused room makes nobody its member', async () => {
    const user = 'u_no_member';
    const socket = await open(user, address());
    for (const room_id of ['general', 'welcome']) await socket.call('room.join', { room_id });
    expect((await socket.ack('room.join', { room_id: 'energy' })).error.code).toBe('rate_limited');
    const { body } = await createRest(city.url(), await city.token(user))('GET', '/city/rooms/energy');
    expect(body.room.joined).toBe(false);
  });

  it('subscriptions past the cap are refused with a code, whole; unsubscribing makes room', async () => {
    const socket = await open('u_views', address(), '/presence');
    const users = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, n) => `u_seen_${from + n}`);
    await socket.call('presence.subscribe', { user_ids: users(0, 7) });
    const refused = await socket.ack('presence.subscribe', { user_ids: users(7, 14) });
    expect(refused.error).toMatchObject({ code: 'rate_limited', retryable: true });
    expect(await refusals('subscriptions_socket')).toBe(1);
    await socket.call('presence.unsubscribe', { user_ids: users(0, 7) });
    await socket.call('presence.subscribe', { user_ids: users(7, 14) });
    await open('u_seen_8', address(), '/presence');
    // Alone, or in one packet with others who came or went just then.
    const told = () => [
      ...socket.of('presence.update'),
      ...socket.of('presence.bulk_update').flatMap(({ users: seen }) => seen),
    ];
    await until(() => told().some(({ user_id }) => user_id === 'u_seen_8'), 'u_seen_8 is told of');
  });
});
