/** REST: membership and read marks. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { REST } from '../../src/contract/rest.ts';
import type { Room, RoomMember } from '../../src/contract/rooms.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { createRest } from '../support/rest.ts';
import { expectShape } from '../support/shape.ts';
import { until } from '../support/until.ts';

let city: City;
let alice: ReturnType<typeof createRest>;
let bob: ReturnType<typeof createRest>;
beforeAll(async () => {
  city = await startCity({ nodes: [{}, {}] });
  alice = await city.rest('u_alice', 0, { name: 'Alice' });
  bob = await city.rest('u_bob_0042', 1);
});
afterAll(() => city.stop());

let rooms = 0;
const newRoom = async (): Promise<string> => {
  const slug = `room-${++rooms}`;
  expect((await alice('POST', '/city/rooms', { name: slug, slug })).status).toBe(201);
  return slug;
};
const roomOf = async (rest: typeof alice, slug: string): Promise<Room> =>
  (await rest('GET', `/city/rooms/${slug}`)).body.room;

describe('membership', () => {
  it('joins and leaves, each as often as one likes', async () => {
    const slug = await newRoom();
    const room_id = `room_city_${slug}`;
    for (const [verb, joined] of [
      ['join', true],
      ['join', true],
      ['leave', false],
      ['leave', false],
    ] as const) {
      const { status, body } = await alice('POST', `/city/rooms/${slug}/${verb}`);
      expect(status).toBe(200);
      expectShape(REST.joinRoom.answers[200], body);
      expect(body).toEqual({ room_id, user_id: 'u_alice', joined, members_online: 0 });
      expect((await roomOf(alice, slug)).joined).toBe(joined);
      expect((await roomOf(bob, slug)).joined).toBe(false);
    }
  });

  it('makes who sends, or opens the room, a member', async () => {
    const slug = await newRoom();
    await alice('POST', `/city/rooms/${slug}/messages`, { body: 'hello' });
    expect((await roomOf(alice, slug)).joined).toBe(true);
    const socket = await city.socket('/rooms', 'u_bob_0042', 1);
    const { room } = await socket.call('room.join', { room_id: slug });
    expect(room.joined).toBe(true);
    socket.close();
    expect((await roomOf(bob, slug)).joined).toBe(true);
  });

  it("takes the leaver's sockets out of the room on every node", async () => {
    const slug = await newRoom();
    const room_id = `room_city_${slug}`;
    const tabs = await Promise.all([0, 1].map((node) => city.socket('/rooms', 'u_alice', node)));
    const friend = await city.socket('/rooms', 'u_bob_0042', 1);
    for (const tab of [...tabs, friend]) await tab.call('room.join', { room_id });
    expect(await roomOf(bob, slug)).toMatchObject({ members_online: 2 });

    const { body } = await alice('POST', `/city/rooms/${slug}/leave`);
    expect(body).toEqual({ room_id, user_id: 'u_alice', joined: false, members_online: 1 });
    for (const tab of tabs) expect(await tab.next('room.closed')).toEqual({ room_id, reason: 'left' });
    const left = await friend.next('room.leave');
    expect(left).toEqual({ room_id, user_id: 'u_alice', username: 'Alice', members_online: 1 });
    expect(friend.of('room.closed')).toEqual([]);

    await bob('POST', `/city/rooms/${slug}/messages`, { body: 'without Alice' });
    await friend.next('room.message');
    await tabs[1]!.call('room.join', { room_id: 'general' });
    for (const tab of tabs) expect(tab.of('room.message')).toEqual([]);
    const open = (await bob('GET', `/city/rooms/${slug}`)).body;
    expect([open.members_online, open.online_members]).toEqual([1, ['u_bob_0042']]);
    for (const socket of [...tabs, friend]) socket.close();
  });

  it('lists the members, online first, page by page', async () => {
    const slug = await newRoom();
    const absent = Array.from({ length: 5 }, (_, n) => `u_absent${n}`);
    const present = Array.from({ length: 4 }, (_, n) => `u_present${n}`);
    for (const user of [...absent, ...present]) {
      const rest = await city.rest(user, 0, { name: `Name of ${user}` });
      await rest('POST', `/city/rooms/${slug}/join`);
    }
    await bob('POST', `/city/rooms/${slug}/join`);
    const sockets = await Promise.all(present.map((user, n) => city.socket('/presence', user, n % 2)));
    const page = async (query: string) => {
      const { status, body } = await alice('GET', `/city/rooms/${slug}/members${query}`);
      expect(status).toBe(200);
      return expectShape(REST.listMembers.answers[200], body);
    };
    await until(async () => {
      const { members } = await page('?limit=4');
      return members.every(({ status }) => status === 'online');
    }, 'four members online');
    const whole = await page('');
    expect(whole.next).toBeNull();
    const ids = whole.members.map(({ user_id }) => user_id);
    expect(new Set(ids.slice(0, 4))).toEqual(new Set(present));
    expect(new Set(ids.slice(4))).toEqual(new Set([...absent, 'u_bob_0042']));
    const named = Object.fromEntries(whole.members.map(({ user_id, username }) => [user_id, username]));
    expect(named).toMatchObject({ u_bob_0042: 'User-0042', u_absent1: 'Name of u_absent1' });

    const paged: RoomMember[] = [];
    let next: string | null = '';
    while (next !== null) {
      const part: Awaited<ReturnType<typeof page>> = await page(`?limit=3${next && `&after=${next}`}`);
      expect(part.members.length).toBeLessThanOrEqual(3);
      paged.push(...part.members);
      next = part.next;
    }
    expect(paged.map(({ user_id }) => user_id)).toEqual(ids);
    for (const socket of sockets) socket.close();
  });

  it.each(['limit=0', 'limit=x', 'after=', 'after=nonsense', 'page=2'])(
    'refuses members?%s',
    async (query) => {
      expect((await alice('GET', `/city/rooms/general/members?${query}`)).status).toBe(400);
    },
  );

  it('refuses a cursor with characters that cannot be stored', async () => {
    const after = Buffer.from(JSON.stringify([0, '\0'])).toString('base64url');
    expect((await alice('GET', `/city/rooms/general/members?after=${after}`)).status).toBe(400);
  });
});

describe('PUT /city/rooms/:room_id/read', () => {
  it('moves the mark forward, never back, at most to the last message', async () => {
    const slug = await newRoom();
    for (const body of ['1', '2', '3']) await alice('POST', `/city/rooms/${slug}/messages`, { body });
    expect((await roomOf(alice, slug)).unread).toBe(0); // sending moves the sender's own
    expect((await roomOf(bob, slug)).unread).toBe(3);
    for (const [seq, last_read_seq] of [
      [0, 0],
      [2, 2],
      [1, 2],
      [99, 3],
      [Number.MAX_SAFE_INTEGER, 3],
      [0, 3],
    ] as const) {
      const { status, body } = await bob('PUT', `/city/rooms/${slug}/read`, { seq });
      expect(status).toBe(200);
      expectShape(REST.markRead.answers[200], body);
      expect(body).toEqual({ room_id: `room_city_${slug}`, last_read_seq, unread: 3 - last_read_seq });
    }
    expect((await roomOf(bob, slug)).unread).toBe(0);
    await alice('POST', `/city/rooms/${slug}/messages`, { body: '4' });
    expect(await roomOf(bob, slug)).toMatchObject({ unread: 1, joined: false });
  });

  it.each([{}, { seq: -1 }, { seq: 1.5 }, { seq: '1' }, { seq: null }, { seq: 1e300 }, { seq: 1, x: 1 }])(
    'refuses %j',
    async (body) => {
      expect((await bob('PUT', '/city/rooms/general/read', body)).status).toBe(400);
    },
  );
});
