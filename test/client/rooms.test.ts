/** Rooms of the typed client: nothing missing, nothing twice and nothing out of order, whatever the line does. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { startProxy } from '../support/proxy.ts';
import type { Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { bodies, createPeople, isGapless, untilLive, untilState } from './people.ts';

let city: City;
let line: Proxy;
let people: ReturnType<typeof createPeople>;
const cuttable = () => ({ url: `http://127.0.0.1:${line.port}` });

beforeAll(async () => {
  city = await startCity();
  line = await startProxy(city.apps[0]!.port());
  people = createPeople(city);
});
afterEach(() => {
  people.leave();
  line.pass();
});
afterAll(async () => {
  await line.close();
  await city.stop();
});

const newRoom = async (name: string) => (await people.person('u_owner').rest.createRoom({ name })).id;

describe('a room', () => {
  it('is in order and complete after every cut of the line, while others write', async () => {
    const ref = await newRoom('Cut lines');
    const room = people.person('u_reader', cuttable()).rooms.join(ref);
    await untilLive(room);
    let gaps = 0;
    room.subscribe(() => (gaps += isGapless(room.getSnapshot()) ? 0 : 1));
    const writer = people.person('u_writer').rest;
    for (let n = 1; n <= 60; n++) {
      await writer.sendMessage({ room_id: ref, body: `number ${n}` });
      if (n % 15 === 0) line.reset();
    }
    const state = await untilState(room, ({ messages }) => messages.length >= 60, 'all 60 messages');
    expect(bodies(state)).toEqual(Array.from({ length: 60 }, (_, index) => `number ${index + 1}`));
    expect(gaps).toBe(0);
  });

  it('catches up on more than 1,000 changes, edits and deletions among them', async () => {
    const ref = await newRoom('Long absence');
    const client = people.person('u_absent', { ...cuttable(), messagesKept: 2_000 });
    const room = client.rooms.join(ref);
    const writer = people.person('u_busy');
    const send = async (body: string) =>
      (await writer.ask('room.message.send', { room_id: ref, body })).message;
    await untilState(writer.connection, ({ phase }) => phase === 'live', 'the writer connected');
    const first = await send('first');
    await untilState(room, ({ messages }) => messages.length === 1, 'the first message');
    line.refuse();
    await untilState(client.connection, ({ phase }) => phase === 'lost', 'the connection lost');
    for (let batch = 0; batch < 4; batch++) {
      await Promise.all(Array.from({ length: 275 }, (_, n) => send(`${batch * 275 + n}`)));
    }
    await writer.rest.editMessage({ room_id: ref, id: first.id, body: 'edited meanwhile' });
    line.pass();
    client.reconnect();
    const state = await untilState(
      room,
      ({ status, messages }) => status === 'live' && messages.length > 1,
      'caught up',
    );
    expect(state.messages).toHaveLength(1_101);
    expect(isGapless(state)).toBe(true);
    expect(state.messages[0]!.body).toBe('edited meanwhile');
    expect(new Set(bodies(state)).size).toBe(1_101);
  });

  it('shows a message at once, and once, when its answer is lost after it was stored', async () => {
    const ref = await newRoom('Lost answer');
    const client = people.person('u_sender', cuttable());
    const room = client.rooms.join(ref);
    await untilLive(room);
    line.blackhole('to_client');
    const client_id = room.send('only once');
    expect(room.getSnapshot().outgoing).toMatchObject([{ client_id, body: 'only once', state: 'sending' }]);
    const other = people.person('u_other').rest;
    await until(
      async () => (await other.listMessages({ room_id: ref })).messages.length > 0,
      'the message stored',
    );
    line.reset();
    line.pass();
    const state = await untilState(room, ({ messages }) => messages.length > 0, 'the message shown');
    await untilState(room, ({ outgoing }) => outgoing.length === 0, 'nothing on its way');
    expect(bodies(state)).toEqual(['only once']);
    expect(bodies(room.getSnapshot())).toEqual(['only once']);
    expect((await other.listMessages({ room_id: ref })).messages).toMatchObject([{ client_id }]);
  });

  it('sends again what never arrived', async () => {
    const ref = await newRoom('Lost question');
    const room = people.person('u_sender', cuttable()).rooms.join(ref);
    await untilLive(room);
    line.blackhole('to_service');
    const client_id = room.send('can you hear me?');
    line.reset();
    line.pass();
    const state = await untilState(room, ({ messages }) => messages.length > 0, 'the message');
    expect(state.messages).toMatchObject([{ client_id, seq: 1 }]);
  });

  it('sends in order what was written without a connection', async () => {
    const ref = await newRoom('Written offline');
    const client = people.person('u_tunnel', cuttable());
    const room = client.rooms.join(ref);
    await untilLive(room);
    line.refuse();
    await untilState(client.connection, ({ phase }) => phase === 'lost', 'the connection lost');
    for (let n = 1; n <= 5; n++) room.send(`from the tunnel ${n}`);
    expect(room.getSnapshot().outgoing).toHaveLength(5);
    line.pass();
    client.reconnect();
    const state = await untilState(room, ({ outgoing }) => outgoing.length === 0, 'all sent');
    expect(bodies(state)).toEqual([1, 2, 3, 4, 5].map((n) => `from the tunnel ${n}`));
  });

  it('keeps a message that is refused for good until it is sent again or discarded', async () => {
    const ref = await newRoom('Refusals');
    const moderator = people.person('u_mod', { roles: ['moderator'] }).rest;
    const room = people.person('u_loud').rooms.join(ref);
    await untilLive(room);
    const tooLong = room.send('x'.repeat(10_001));
    await moderator.moderate({ room_id: ref, action: 'mute', user_id: 'u_loud' });
    const muted = room.send('let me speak');
    const state = await untilState(
      room,
      ({ outgoing }) => outgoing.every((message) => message.state === 'failed'),
      'both refused',
    );
    expect(state.outgoing.map(({ client_id, error }) => [client_id, error?.code])).toEqual([
      [tooLong, 'invalid'],
      [muted, 'forbidden'],
    ]);
    room.discard(tooLong);
    await moderator.moderate({ room_id: ref, action: 'unmute', user_id: 'u_loud' });
    room.retry(muted);
    const after = await untilState(room, ({ outgoing }) => outgoing.length === 0, 'sent after all');
    expect(after.messages).toMatchObject([{ body: 'let me speak', client_id: muted }]);
  });

  it('shows edits and deletions with their answer', async () => {
    const ref = await newRoom('Second thoughts');
    const author = people.person('u_author');
    const room = author.rooms.join(ref);
    await untilLive(room);
    room.send('teh');
    const { messages } = await untilState(room, (now) => now.messages.length === 1, 'sent');
    // Behind the handle's back: no event comes any more, only answers.
    await author.ask('room.leave', { room_id: ref });
    await room.edit(messages[0]!.id, 'the');
    expect(bodies(room.getSnapshot())).toEqual(['the']);
    await room.delete(messages[0]!.id);
    expect(room.getSnapshot().messages).toMatchObject([{ body: '', deleted_at: expect.any(String) }]);
    await expect(room.edit('m_city_01ARZ3NDEKTSV4RRFFQ69G5FAV', 'no')).rejects.toMatchObject({
      code: 'not_found',
      retryable: false,
    });
  });

  it('pages its past, and lets the oldest go when it grows long', async () => {
    const ref = await newRoom('Long room');
    const writer = people.person('u_writer');
    await untilState(writer.connection, ({ phase }) => phase === 'live', 'the writer connected');
    const send = (body: string) => writer.ask('room.message.send', { room_id: ref, body });
    await Promise.all(Array.from({ length: 120 }, (_, n) => send(`${n}`)));
    const room = people.person('u_reader', { messagesKept: 80 }).rooms.join(ref);
    const start = await untilLive(room);
    expect([start.messages.length, start.hasOlder]).toEqual([50, true]);
    await room.loadOlder();
    await room.loadOlder();
    const whole = room.getSnapshot();
    expect([whole.messages.length, whole.messages[0]!.seq, whole.hasOlder]).toEqual([120, 1, false]);
    await send('newest');
    const cut = await untilState(room, ({ messages }) => messages.at(-1)!.body === 'newest', 'the newest');
    expect([cut.messages.length, cut.messages[0]!.seq, cut.hasOlder]).toEqual([80, 42, true]);
    await room.loadOlder();
    expect(room.getSnapshot().messages[0]!.seq).toBe(1);
    expect(isGapless(room.getSnapshot())).toBe(true);
  });

  it('has one subscription for all its handles, which ends with the last', async () => {
    const ref = await newRoom('Shared');
    const client = people.person('u_twice');
    const [one, two] = [client.rooms.join(ref), client.rooms.join(ref.replace('room_city_', ''))];
    await untilLive(one);
    expect(two.getSnapshot()).toBe(one.getSnapshot());
    const watcher = people.person('u_watcher');
    const online = async () => (await watcher.rest.getRoom({ room_id: ref })).members_online;
    one.leave();
    const writer = await watcher.rest.sendMessage({ room_id: ref, body: 'still there?' });
    await untilState(two, ({ messages }) => messages.at(-1)?.id === writer.id, 'the other handle is live');
    expect(await online()).toBe(1);
    two.leave();
    await until(async () => (await online()) === 0, 'nobody in the room');
  });

  it('tells who types, counts what is unread, and closes when its reader is kicked', async () => {
    const ref = await newRoom('Company');
    const [ann, bob] = [people.person('u_ann', { name: 'Ann' }), people.person('u_bob')];
    const [hers, his] = [ann.rooms.join(ref), bob.rooms.join(ref)];
    await Promise.all([untilLive(hers), untilLive(his)]);
    hers.setTyping(true);
    await untilState(his, ({ typing }) => typing.includes('u_ann'), 'Ann typing');
    hers.send('done');
    const unread = await untilState(his, ({ messages }) => messages.length === 1, 'her message');
    expect([unread.unread, hers.getSnapshot().unread]).toEqual([1, 0]);
    await untilState(his, ({ typing }) => typing.length === 0, 'nobody typing');
    his.read();
    await until(async () => (await bob.rest.getRoom({ room_id: ref })).room.unread === 0, 'read');
    expect(his.getSnapshot().unread).toBe(0);
    expect(bob.nameOf('u_ann')).toBe('Ann');
    await untilState(his, ({ online }) => String([...online].sort()) === 'u_ann,u_bob', 'both here');
    const moderator = people.person('u_mod', { roles: ['moderator'] }).rest;
    await moderator.updateRoom({ room_id: ref, name: 'Good company', slow_mode_s: 3 });
    await bob.rooms.refresh();
    expect(his.getSnapshot().room).toMatchObject({ name: 'Good company', slow_mode_s: 3 });
    await moderator.moderate({ room_id: ref, action: 'kick', user_id: 'u_bob' });
    await untilState(his, ({ status, closed }) => status === 'closed' && closed === 'kicked', 'kicked');
    const back = bob.rooms.join(ref);
    await untilLive(back);
  });
});
