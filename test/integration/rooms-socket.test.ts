/** Socket.IO /rooms: acknowledgements, joining, messages, typing, notices, and what must never do harm. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Role } from '../../src/contract/auth.ts';
import { AckError } from '../../src/contract/errors.ts';
import { ROOMS_CLIENT_EVENTS, ROOMS_SERVER_EVENTS } from '../../src/contract/events.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { expectShape } from '../support/shape.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

let city: City;
const sockets: TestSocket[] = [];
beforeAll(async () => {
  city = await startCity({ nodes: [{}, {}] });
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});
afterAll(() => city.stop());

const come = async (userId: string, node = 0, options: { name?: string; roles?: Role[] } = {}) => {
  const socket = await city.socket('/rooms', userId, node, options);
  sockets.push(socket);
  return socket;
};
let rooms = 0;
const newRoom = async (): Promise<string> => {
  const rest = await city.rest('u_founder');
  return (await rest('POST', '/city/rooms', { name: `Room ${++rooms}` })).body.id;
};
/** Joins; the data of the answer, held against the contract. */
const join = async (socket: TestSocket, room_id: string, more: object = {}) =>
  expectShape(ROOMS_CLIENT_EVENTS['room.join'].data, await socket.call('room.join', { room_id, ...more }));
const send = async (socket: TestSocket, room_id: string, body = 'hello') => {
  const data = await socket.call('room.message.send', { room_id, body });
  return expectShape(ROOMS_CLIENT_EVENTS['room.message.send'].data, data).message;
};
/** Sends the user of a socket out of a room on the other node; resolves when the socket was told. */
const moderate = async (socket: TestSocket, room_id: string, action: 'kick' | 'ban') => {
  const moderator = await city.rest('u_mod', 1, { roles: ['moderator'] });
  const { status } = await moderator('POST', `/city/rooms/${room_id}/moderation`, {
    action,
    user_id: 'u_alice',
  });
  expect(status).toBe(200);
  await socket.next('room.closed');
};
const refusal = async (socket: TestSocket, event: string, payload: unknown) => {
  const { ok, error } = await socket.ack(event, payload);
  expect(ok).toBe(false);
  return expectShape(AckError, error);
};

describe('what clients send wrong', () => {
  const HELLO = { room_id: 'general', body: 'x' };
  const LONE = { room_id: 'general', body: '\ud800' };
  const PROTO = JSON.parse('{"room_id":"general","body":"x","__proto__":{"client_id":"k"}}');
  const deep = (levels: number) => JSON.parse('['.repeat(levels) + ']'.repeat(levels));
  let canary: TestSocket;
  /** The server and another client are as they were. */
  const expectUnharmed = async (socket: TestSocket, room_id: string) => {
    const { id } = await send(socket, room_id, 'canary');
    await canary.next('room.message', ({ message }) => message.id === id);
  };

  it('is refused with the field that is wrong, and harms nobody', async () => {
    const room_id = await newRoom();
    canary = await come('u_canary', 1);
    await join(canary, room_id);
    const socket = await come('u_clumsy');
    for (const [event, payload] of [
      ['room.message.send', {}],
      ['room.message.send', null],
      ['room.message.send', 'text'],
      ['room.message.send', 7],
      ['room.message.send', []],
      ['room.message.send', [HELLO]],
      ['room.message.send', { ...HELLO, body: ' ' }],
      ['room.message.send', { ...HELLO, body: 'x'.repeat(10_001) }],
      ['room.message.send', { ...HELLO, body: '\0' }],
      ['room.message.send', LONE],
      ['room.message.send', { ...HELLO, body: Buffer.from('binary') }],
      ['room.message.send', Buffer.from('binary')],
      ['room.message.send', { ...HELLO, client_id: '?' }],
      ['room.message.send', { ...HELLO, agent_id: 'ag_x' }],
      ['room.message.send', { ...HELLO, extra: Buffer.from('binary') }],
      ['room.message.send', PROTO],
      ['room.message.send', { ...HELLO, body: deep(2_000) }],
      ['room.message.send', deep(2_000)],
      ['room.join', {}],
      ['room.join', { room_id: 'General' }],
      ['room.join', { room_id: 'room_city_' }],
      ['room.join', { room_id: { $ne: null } }],
      ['room.join', { room_id: 'general', since: -1 }],
      ['room.join', { room_id: 'general', since: 0.5 }],
      ['room.join', { room_id: 'general', since: '0' }],
      ['room.join', { room_id: 'general', since: 1e300 }],
      ['room.typing', { room_id: 'general' }],
      ['room.typing', { room_id: 'general', typing: 'yes' }],
      ['room.read', { room_id: 'general', seq: null }],
      ['room.message.edit', { ...HELLO, message_id: 'm_city_x' }],
      ['room.message.delete', { room_id: 'general' }],
      ['no.such.event', {}],
      ['constructor', {}],
      ['__proto__', {}],
      ['toString', {}],
      ['message', {}],
    ] as [string, unknown][]) {
      const error = await refusal(socket, event, payload);
      expect([event, error.code, error.retryable]).toEqual([event, 'invalid', false]);
    }
    const error = await refusal(socket, 'room.message.send', { room_id: 'general', body: '', extra: 1 });
    expect(new Set(error.errors!.map(({ path }) => path))).toEqual(new Set(['body', 'extra']));
    await expectUnharmed(socket, room_id);
  });

  it('is survived without acknowledgement, with extra arguments, and with none', async () => {
    const room_id = await newRoom();
    canary = await come('u_canary', 1);
    await join(canary, room_id);
    const socket = await come('u_clumsy');
    const { raw } = socket;
    for (const event of [...Object.keys(ROOMS_CLIENT_EVENTS), 'no.such.event', 'error']) {
      raw.emit(event);
      raw.emit(event, null);
      raw.emit(event, { room_id: 'nowhere' });
      raw.emit(event, {}, {}, Buffer.from('x'));
      const extra = await raw.timeout(5_000).emitWithAck(event, {}, {});
      expect([event, extra.ok, extra.error.code]).toEqual([event, false, 'invalid']);
    }
    raw.emit('room.message.send', { room_id, body: 'needs no ack' });
    await canary.next('room.message', ({ message }) => message.body === 'needs no ack');
    expect(await raw.timeout(5_000).emitWithAck('room.join')).toMatchObject({ ok: false });
    await expectUnharmed(socket, room_id);
  });

  it('cuts nobody but who sends a frame that is too big', async () => {
    const room_id = await newRoom();
    canary = await come('u_canary', 1);
    await join(canary, room_id);
    const flood = await come('u_flood');
    const cut = new Promise((resolve) => flood.raw.once('disconnect', resolve));
    flood.raw.emit('room.message.send', { room_id, body: 'x'.repeat(1_000_000) });
    await cut;
    await expectUnharmed(await come('u_clumsy'), room_id);
  });

  it('answers the codes of REST', async () => {
    const room_id = await newRoom();
    const [alice, bob] = [await come('u_alice'), await come('u_bob')];
    const { id } = await send(alice, room_id);
    const missing = `m_city_${'0'.repeat(26)}`;
    for (const [event, payload, code] of [
      ['room.join', { room_id: 'nowhere' }, 'not_found'],
      ['room.message.send', { room_id: 'nowhere', body: 'x' }, 'not_found'],
      ['room.read', { room_id: 'nowhere', seq: 1 }, 'not_found'],
      ['room.message.edit', { room_id, message_id: missing, body: 'x' }, 'not_found'],
      ['room.message.edit', { room_id: 'general', message_id: id, body: 'x' }, 'not_found'],
      ['room.message.edit', { room_id, message_id: id, body: 'x' }, 'forbidden'],
      ['room.message.delete', { room_id, message_id: id }, 'forbidden'],
    ] as const) {
      expect([event, (await refusal(bob, event, payload)).code]).toEqual([event, code]);
    }
    const key = { room_id, client_id: 'k' };
    await alice.call('room.message.send', { ...key, body: 'one' });
    const mismatch = await refusal(alice, 'room.message.send', { ...key, body: 'two' });
    expect(mismatch.code).toBe('idempotency_mismatch');
  });
});

describe('joining', () => {
  it('answers a snapshot, by id or slug, and again another', async () => {
    const room_id = await newRoom();
    const [alice, bob] = [await come('u_alice'), await come('u_bob', 1)];
    for (let n = 1; n <= 52; n++) await send(alice, room_id, `${n}`);
    const first = await join(bob, room_id.slice('room_city_'.length));
    expect(first.messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, n) => n + 3));
    expect(first.room).toMatchObject({ id: room_id, joined: true, unread: 52, last_change_seq: 52 });
    expect([first.members_online, first.room.members_online]).toEqual([1, 1]);

    const edited = (
      await alice.call('room.message.edit', { room_id, message_id: first.messages[0]!.id, body: 'e' })
    ).message;
    await bob.next('room.message.updated');
    const again = await join(bob, room_id, { since: 52 });
    expect([again.messages, again.has_more]).toEqual([[edited], false]);
    expect((await join(bob, room_id, { since: 53 })).messages).toEqual([]);
    await send(alice, room_id, 'live');
    const event = await bob.next('room.message');
    expectShape(ROOMS_SERVER_EVENTS['room.message'].payload, event);
    await send(alice, room_id, 'barrier');
    await bob.next('room.message', ({ message }) => message.body === 'barrier');
    expect(bob.of('room.message').map(({ message }) => message.body)).toEqual(['live', 'barrier']);
  });

  it('ends with room.leave, for this socket only; membership stays', async () => {
    const room_id = await newRoom();
    const [alice, tab, other] = [await come('u_alice'), await come('u_bob'), await come('u_bob', 1)];
    for (const socket of [tab, other]) await join(socket, room_id);
    expect(await tab.call('room.leave', { room_id })).toEqual({});
    expect(await tab.call('room.leave', { room_id })).toEqual({});
    await send(alice, room_id);
    await other.next('room.message');
    await tab.call('room.read', { room_id, seq: 0 });
    expect(tab.of('room.message')).toEqual([]);
    const { body } = await (await city.rest('u_bob'))('GET', `/city/rooms/${room_id}`);
    expect(body).toMatchObject({ room: { joined: true }, members_online: 1, online_members: ['u_bob'] });
  });

  it('is no condition for sending', async () => {
    const room_id = await newRoom();
    const alice = await come('u_alice');
    await send(alice, room_id);
    expect(alice.of('room.message')).toEqual([]);
  });
});

describe('what a room hears', () => {
  it('messages, edits and deletions, the sender included', async () => {
    const room_id = await newRoom();
    const [alice, bob] = [await come('u_alice'), await come('u_bob', 1)];
    for (const socket of [alice, bob]) await join(socket, room_id);
    const sent = await send(alice, room_id);
    const changed = { room_id, message_id: sent.id };
    const edited = (await alice.call('room.message.edit', { ...changed, body: 'edited' })).message;
    const deleted = (await alice.call('room.message.delete', changed)).message;
    for (const socket of [alice, bob]) {
      await socket.next('room.message.deleted');
      expect(socket.events.filter(({ name }) => name.startsWith('room.message'))).toEqual([
        { name: 'room.message', payload: { room_id, message: sent } },
        { name: 'room.message.updated', payload: { room_id, message: edited } },
        { name: 'room.message.deleted', payload: { room_id, message: deleted } },
      ]);
    }
    // Deleting again answers the same, and nobody hears of it.
    expect(await alice.call('room.message.delete', changed)).toEqual({ message: deleted });
    await send(alice, room_id, 'barrier');
    await bob.next('room.message', ({ message }) => message.body === 'barrier');
    expect(bob.of('room.message.deleted')).toHaveLength(1);
  });

  it('a message after its sender was acknowledged, who does not wait for the deliveries', async () => {
    const room_id = await newRoom();
    const sender = await come('u_sender');
    await join(sender, room_id);
    const order: string[] = [];
    sender.raw.on('room.message', () => order.push('delivered'));
    sender.raw.emit('room.message.send', { room_id, body: 'hello' }, () => order.push('acknowledged'));
    await until(() => order.length === 2, 'both');
    expect(order).toEqual(['acknowledged', 'delivered']);
  });

  it('the first tab of a user in, and the last one out', async () => {
    const room_id = await newRoom();
    const watcher = await come('u_watcher', 1);
    await join(watcher, room_id);
    const tabs = [];
    for (const node of [0, 1, 0]) tabs.push(await come('u_alice', node, { name: 'Alice' }));
    for (const tab of tabs) await join(tab, room_id);
    const notice = (members_online: number) => ({
      room_id,
      user_id: 'u_alice',
      username: 'Alice',
      members_online,
    });
    expectShape(ROOMS_SERVER_EVENTS['room.join'].payload, await watcher.next('room.join'));
    tabs[0]!.close();
    await tabs[1]!.call('room.leave', { room_id });
    const rest = await city.rest('u_watcher', 1);
    const online = async () => (await rest('GET', `/city/rooms/${room_id}`)).body.members_online;
    expect(await online()).toBe(2);
    expect(watcher.of('room.leave')).toEqual([]);
    tabs[2]!.close();
    expect(await watcher.next('room.leave')).toEqual(notice(1));
    expect(watcher.of('room.join')).toEqual([notice(2)]);
    await until(async () => (await online()) === 1, 'one user left');
    expect(watcher.of('room.leave')).toHaveLength(1);
  });

  it('a change of presence of somebody who has the room open', async () => {
    const room_id = await newRoom();
    const [watcher, alice] = [await come('u_watcher', 1), await come('u_alice')];
    for (const socket of [watcher, alice]) await join(socket, room_id);
    const presence = await city.socket('/presence', 'u_alice');
    sockets.push(presence);
    await watcher.next('room.presence', ({ status }) => status === 'online');
    await presence.call('presence.heartbeat', { status: 'away' });
    const notice = await watcher.next('room.presence', ({ status }) => status === 'away');
    expectShape(ROOMS_SERVER_EVENTS['room.presence'].payload, notice);
    expect(notice).toEqual({ room_id, user_id: 'u_alice', status: 'away', members_online: 2 });
  });

  it('who is typing: until they stop, send, or are silent for 6 s', async () => {
    const room_id = await newRoom();
    const [watcher, alice, bob] = [await come('u_watcher', 1), await come('u_alice'), await come('u_bob')];
    for (const socket of [watcher, alice, bob]) await join(socket, room_id);
    const type = (socket: TestSocket, typing: boolean) => socket.call('room.typing', { room_id, typing });
    const typists = () => watcher.of('room.typing').at(-1)?.user_ids.join() ?? 'never told';

    expect(await type(alice, true)).toEqual({});
    await until(() => typists() === 'u_alice', 'Alice types');
    expectShape(ROOMS_SERVER_EVENTS['room.typing'].payload, watcher.of('room.typing')[0]);
    await type(bob, true);
    await until(() => typists() === 'u_alice,u_bob', 'both type');
    await type(alice, false);
    await until(() => typists() === 'u_bob', 'Alice stopped');
    await send(bob, room_id);
    await until(() => typists() === '', 'Bob has sent');

    await type(alice, true);
    await until(() => typists() === 'u_alice', 'Alice types again');
    await until(() => typists() === '', 'Alice is forgotten');
    const { code } = await refusal(await come('u_stranger'), 'room.typing', { room_id, typing: true });
    expect(code).toBe('forbidden');
  });

  it.each<[string, (alice: TestSocket, room_id: string, watcher: TestSocket) => Promise<unknown>]>([
    ['leaves', (alice, room_id) => alice.call('room.leave', { room_id })],
    [
      'disconnects',
      (alice, _room_id, watcher) => {
        alice.close();
        return watcher.next('room.leave');
      },
    ],
    ['is kicked', (alice, room_id) => moderate(alice, room_id, 'kick')],
    ['is banned', (alice, room_id) => moderate(alice, room_id, 'ban')],
  ])('who %s types no more, on any node', async (_how, goAway) => {
    const room_id = await newRoom();
    const [watcher, alice, bob] = [await come('u_watcher', 1), await come('u_alice'), await come('u_bob')];
    for (const socket of [watcher, alice, bob]) await join(socket, room_id);
    const told = () => watcher.of('room.typing').map(({ user_ids }) => user_ids.join());
    await alice.call('room.typing', { room_id, typing: true });
    await until(() => told().length > 0, 'Alice types');
    await goAway(alice, room_id, watcher);
    await bob.call('room.typing', { room_id, typing: true });
    await until(() => told().some((users) => users.includes('u_bob')), 'Bob types');
    expect(told()).toEqual(['u_alice', '', 'u_bob']);
  });

  it('who types on two connections types until both have stopped', async () => {
    const room_id = await newRoom();
    const [watcher, bob] = [await come('u_watcher', 1), await come('u_bob')];
    const [phone, laptop] = [await come('u_alice'), await come('u_alice')];
    for (const socket of [watcher, bob, phone, laptop]) await join(socket, room_id);
    for (const socket of [phone, laptop]) await socket.call('room.typing', { room_id, typing: true });
    await laptop.call('room.typing', { room_id, typing: false });
    await bob.call('room.typing', { room_id, typing: true });
    await phone.call('room.leave', { room_id });
    const told = () => watcher.of('room.typing').map(({ user_ids }) => user_ids.join());
    await until(() => told().at(-1) === 'u_bob', 'Bob alone types');
    expect(told()).toEqual(['u_alice', 'u_alice,u_bob', 'u_bob']);
  });
});

describe('reading', () => {
  it('moves the mark forward, never back, and not past the end', async () => {
    const room_id = await newRoom();
    const [alice, bob] = [await come('u_alice'), await come('u_bob', 1)];
    for (const body of ['1', '2', '3']) await send(alice, room_id, body);
    const read = async (seq: number) => {
      const data = await bob.call('room.read', { room_id, seq });
      return expectShape(ROOMS_CLIENT_EVENTS['room.read'].data, data);
    };
    expect(await read(2)).toEqual({ last_read_seq: 2, unread: 1 });
    expect(await read(1)).toEqual({ last_read_seq: 2, unread: 1 });
    expect(await read(9)).toEqual({ last_read_seq: 3, unread: 0 });
  });
});
