/** The feed, the room list and Second Me of the typed client, with a stand-in Agents Core. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startAgentsCore } from '../../dev/agents-core.ts';
import type { AgentsCore } from '../../dev/agents-core.ts';
import type { FeedState, RoomListState, SecondMeState } from '../../src/client/index.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { startProxy } from '../support/proxy.ts';
import type { Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { createPeople, untilLive, untilState } from './people.ts';

let core: AgentsCore;
let city: City;
let line: Proxy;
let people: ReturnType<typeof createPeople>;

beforeAll(async () => {
  core = await startAgentsCore({ delayMs: 40 });
  city = await startCity({ env: { AGENTS_SERVICE_URL: core.url } });
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
  await core.stop();
});

const watch = (store: { subscribe(listener: () => void): () => void }) => store.subscribe(() => {});
const messageIds = ({ events }: FeedState) => events?.map(({ payload }) => payload['message_id']) ?? [];

describe('the feed', () => {
  it('is live, loses what is deleted, pages back, and misses nothing while the line is cut', async () => {
    const writer = people.person('u_writer', { name: 'Writer' });
    const { id } = await writer.rest.createRoom({ name: 'News' });
    for (let n = 1; n <= 25; n++) await writer.rest.sendMessage({ room_id: id, body: `news ${n}` });
    const reader = people.person('u_reader', { url: `http://127.0.0.1:${line.port}` });
    const feed = reader.feed();
    watch(feed);
    await untilState(feed, ({ events }) => events?.length === 20, 'the newest page');
    await untilState(reader.connection, ({ phase }) => phase === 'live', 'live');
    const said = await writer.rest.sendMessage({ room_id: id, body: 'just now' });
    await untilState<FeedState>(feed, (now) => messageIds(now)[0] === said.id, 'the newest event');
    expect(reader.nameOf('u_writer')).toBe('Writer');
    await feed.loadOlder();
    const older = feed.getSnapshot().events!;
    expect(older.length).toBeGreaterThan(25);
    expect(new Set(older.map((event) => event.id)).size).toBe(older.length);
    await writer.rest.deleteMessage({ room_id: id, id: said.id });
    await untilState<FeedState>(feed, (now) => !messageIds(now).includes(said.id), 'the removal');
    watch(writer.feed());
    await untilState(writer.feed(), ({ events }) => events !== null, "the writer's feed");
    line.refuse();
    await untilState(reader.connection, ({ phase }) => phase === 'lost', 'lost');
    const missed = await writer.rest.sendMessage({ room_id: id, body: 'meanwhile' });
    await untilState<FeedState>(writer.feed(), (now) => messageIds(now)[0] === missed.id, 'told to others');
    line.pass();
    reader.reconnect();
    const after = await untilState<FeedState>(feed, (now) => messageIds(now)[0] === missed.id, 'missed');
    expect(after.events!.length).toBeGreaterThan(25);
  });

  it('of my rooms has nothing of others, also beside that of the city', async () => {
    const writer = people.person('u_writer');
    const [joined, strange] = await Promise.all(
      ['Joined', 'Strange'].map(async (name) => (await writer.rest.createRoom({ name })).id),
    );
    const reader = people.person('u_member');
    await reader.rest.joinRoom({ room_id: joined! });
    const [mine, all] = [reader.feed('mine'), reader.feed('city')];
    watch(mine);
    watch(all);
    watch(reader.rooms);
    await untilState(reader.rooms, ({ rooms }) => rooms !== null, 'the rooms');
    await untilState(reader.connection, ({ phase }) => phase === 'live', 'live');
    await untilState(mine, ({ events }) => events !== null, 'my feed');
    const foreign = await writer.rest.sendMessage({ room_id: strange!, body: 'not for you' });
    const own = await writer.rest.sendMessage({ room_id: joined!, body: 'for you' });
    await untilState<FeedState>(all, (now) => messageIds(now).includes(foreign.id), 'the city has both');
    const state = await untilState<FeedState>(mine, (now) => messageIds(now).includes(own.id), 'mine');
    expect(messageIds(state)).not.toContain(foreign.id);
  });

  it('counts what is unread in the room list', async () => {
    const writer = people.person('u_writer');
    const { id } = await writer.rest.createRoom({ name: 'Counted' });
    const reader = people.person('u_counter');
    await reader.rest.joinRoom({ room_id: id });
    watch(reader.rooms);
    const unread = ({ rooms }: RoomListState) => rooms?.find((room) => room.id === id)?.unread;
    await untilState<RoomListState>(reader.rooms, (now) => unread(now) === 0, 'the room');
    await untilState(reader.connection, ({ phase }) => phase === 'live', 'live');
    await reader.rooms.refresh();
    await writer.rest.sendMessage({ room_id: id, body: 'one' });
    await untilState<RoomListState>(reader.rooms, (now) => unread(now) === 1, 'one unread');
    const room = reader.rooms.join(id);
    await untilLive(room);
    room.read();
    await untilState<RoomListState>(reader.rooms, (now) => unread(now) === 0, 'none unread');
    const { id: made } = await writer.rest.createRoom({ name: 'Made meanwhile' });
    await untilState<RoomListState>(
      reader.rooms,
      ({ rooms }) => rooms!.some((one) => one.id === made),
      'new room',
    );
  });
});

describe('Second Me', () => {
  it('answers piece by piece, on every device, and remembers', async () => {
    const [one, two] = [people.person('u_me'), people.person('u_me')];
    watch(two.secondMe);
    await untilState(two.secondMe, ({ history }) => history !== null, 'the history');
    const grown: string[] = [];
    one.secondMe.subscribe(() => {
      const reply = one.secondMe.getSnapshot().turns[0]?.reply;
      if (reply && reply !== grown.at(-1)) grown.push(reply);
    });
    const client_id = one.secondMe.ask('What is new in the city?');
    expect(one.secondMe.getSnapshot().turns).toMatchObject([{ client_id, status: 'sending', reply: '' }]);
    const isDone = ({ turns }: SecondMeState) => turns[0]?.status === 'succeeded';
    const { turns } = await untilState<SecondMeState>(one.secondMe, isDone, 'the reply');
    expect(turns).toHaveLength(1);
    expect(grown.length).toBeGreaterThan(1);
    for (const part of grown) expect(turns[0]!.reply.startsWith(part)).toBe(true);
    const there = await untilState(two.secondMe, ({ history }) => history!.length === 2, 'there too');
    expect(there.history!.map(({ content }) => content)).toEqual([
      'What is new in the city?',
      turns[0]!.reply,
    ]);
    await one.secondMe.refresh();
    expect(one.secondMe.getSnapshot()).toMatchObject({ turns: [], profile: { total_interactions: 1 } });
    await one.secondMe.clear();
    expect(one.secondMe.getSnapshot().history).toEqual([]);
  });

  it('is cancelled in mid-sentence', async () => {
    const { secondMe } = people.person('u_hasty');
    watch(secondMe);
    const client_id = secondMe.ask(`Tell me a long story about ${'the river and '.repeat(15)}the sea`);
    await untilState(secondMe, ({ turns }) => turns[0]!.reply.length > 20, 'the beginning');
    await secondMe.cancel(client_id);
    const state = await untilState(secondMe, ({ turns }) => turns[0]!.status === 'cancelled', 'cancelled');
    expect(state.turns[0]!.reply.length).toBeGreaterThan(20);
    await expect(secondMe.cancel('nothing')).rejects.toMatchObject({ code: 'not_found' });
  });

  it('asks once, though the answer to the question is lost, and has the reply after the reconnection', async () => {
    const client = people.person('u_unlucky', { url: `http://127.0.0.1:${line.port}` });
    await untilState(client.connection, ({ phase }) => phase === 'live', 'live');
    const calls = core.requests.calls;
    line.blackhole('to_client');
    client.secondMe.ask('Can you hear me?');
    await until(() => core.requests.calls > calls, 'the question has come');
    line.reset();
    line.pass();
    const { turns } = await untilState(
      client.secondMe,
      ({ turns }) => turns.some(({ status }) => status === 'succeeded'),
      'the reply',
    );
    expect(turns).toMatchObject([{ prompt: 'Can you hear me?', status: 'succeeded' }]);
    expect(core.requests.calls).toBe(calls + 1);
  });

  it('keeps a question that is refused until it is discarded', async () => {
    const { secondMe } = people.person('u_wordy');
    const client_id = secondMe.ask('x'.repeat(5_001));
    const state = await untilState(secondMe, ({ turns }) => turns[0]?.status === 'refused', 'refused');
    expect(state.turns[0]!.error?.code).toBe('invalid');
    secondMe.discard(client_id);
    expect(secondMe.getSnapshot().turns).toEqual([]);
  });
});
