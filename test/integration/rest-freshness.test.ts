/** REST answers that many share are as fresh as if each were read alone, on whichever node; counts are at most a second old. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Message } from '../../src/contract/messages.ts';
import type { Room } from '../../src/contract/rooms.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { createRest } from '../support/rest.ts';
import { until } from '../support/until.ts';

/** How old a count may be. */
const COUNTS_MS = 1_000;

type Rest = ReturnType<typeof createRest>;
let city: City;
let writer: Rest, reader: Rest, other: Rest, admin: Rest;
let reading = true;
let crowd: Promise<void>[];

/** `u_alice` writes on one node and reads on another, where others ask for the same all the time. */
beforeAll(async () => {
  city = await startCity({ nodes: [{ RATE_LIMITS: 'off' }, { RATE_LIMITS: 'off' }] });
  writer = await city.rest('u_alice', 0);
  reader = await city.rest('u_alice', 1);
  other = await city.rest('u_other', 1);
  admin = await city.rest('u_admin', 0, { roles: ['admin'] });
  const crowded = await Promise.all([0, 1, 2, 3].map((n) => city.rest(`u_crowd${n}`, 1)));
  crowd = crowded.map(async (rest, n) => {
    while (reading) await rest('GET', n % 2 === 0 ? '/city/rooms' : '/city/rooms/general');
  });
});
afterAll(async () => {
  reading = false;
  await Promise.all(crowd);
  await city.stop();
});

const listed = async (rest: Rest, slug: string): Promise<Room | undefined> =>
  ((await rest('GET', '/city/rooms')).body as Room[]).find((room) => room.slug === slug);
const detail = async (rest: Rest, slug: string) => {
  const { status, body } = await rest('GET', `/city/rooms/${slug}`);
  return { status, ...(body as { room: Room; messages: Message[] }) };
};
const write = async (rest: Rest, method: string, path: string, body?: unknown) => {
  const answer = await rest(method, path, body);
  expect(answer.status).toBeLessThan(300);
  return answer.body;
};

it('shows every room, name and deletion at once', async () => {
  for (let n = 0; n < 10; n++) {
    const slug = `fresh-${n}`;
    const made = await write(writer, 'POST', '/city/rooms', { name: slug, slug });
    expect(await listed(reader, slug)).toEqual(made);
    const changed = await write(writer, 'PATCH', `/city/rooms/${slug}`, {
      name: `Новe ${n}`,
      slow_mode_s: 7,
    });
    expect(changed.name).toBe(`Новe ${n}`);
    expect(await listed(reader, slug)).toEqual(changed);
    expect((await detail(reader, slug)).room).toEqual(changed);
    await write(admin, 'DELETE', `/city/rooms/${slug}`);
    expect(await listed(reader, slug)).toBeUndefined();
    expect((await detail(reader, slug)).status).toBe(404);
  }
});

it('shows what the caller did at once: joined, sent, read, left', async () => {
  const path = '/city/rooms/general';
  for (let n = 0; n < 10; n++) {
    await write(writer, 'POST', `${path}/join`);
    expect((await listed(reader, 'general'))!.joined).toBe(true);
    expect((await detail(reader, 'general')).room.joined).toBe(true);
    const { id, seq, created_at } = await write(writer, 'POST', `${path}/messages`, { body: `${n}` });
    const wanted = { last_seq: seq, last_event: created_at, joined: true, unread: 0 };
    expect(await listed(reader, 'general')).toMatchObject(wanted);
    const { room, messages } = await detail(reader, 'general');
    expect(room).toMatchObject(wanted);
    expect(messages.at(-1)).toMatchObject({ id, body: `${n}` });
    expect(await listed(other, 'general')).toMatchObject({ last_seq: seq, joined: false, unread: seq });
    await write(writer, 'PATCH', `${path}/messages/${id}`, { body: `${n}!` });
    expect((await detail(reader, 'general')).messages.at(-1)!.body).toBe(`${n}!`);
    await write(writer, 'POST', `${path}/leave`);
    expect((await listed(reader, 'general'))!.joined).toBe(false);
    expect((await detail(reader, 'general')).room.joined).toBe(false);
  }
  const { last_seq } = (await listed(other, 'general'))!;
  await write(await city.rest('u_other', 0), 'PUT', `${path}/read`, { seq: last_seq - 3 });
  expect((await listed(other, 'general'))!.unread).toBe(3);
  expect((await detail(other, 'general')).room.unread).toBe(3);
});

it('shows a room of an id that was used before as the new one', async () => {
  for (const name of ['First', 'Second']) {
    // The id of the first is free when all of it is gone.
    const made = async () => (await writer('POST', '/city/rooms', { name, slug: 'again' })).status === 201;
    await until(made, 'the room is made');
    expect(await listed(reader, 'again')).toMatchObject({
      name,
      last_seq: 0,
      last_event: null,
      joined: false,
    });
    expect(await detail(reader, 'again')).toMatchObject({ room: { name }, messages: [] });
    await write(writer, 'POST', '/city/rooms/again/messages', { body: name });
    expect((await detail(reader, 'again')).messages.map(({ body }) => body)).toEqual([name]);
    await write(admin, 'DELETE', '/city/rooms/again');
  }
});

it('keeps the banned out at once, and nobody else', async () => {
  const act = (action: string) =>
    write(admin, 'POST', '/city/rooms/science/moderation', { action, user_id: 'u_other' });
  for (let n = 0; n < 5; n++) {
    await act('ban');
    const refused = await other('GET', '/city/rooms/science');
    expect([refused.status, refused.body.code]).toEqual([403, 'forbidden']);
    expect((await detail(reader, 'science')).status).toBe(200);
    await act('unban');
    expect((await detail(other, 'science')).status).toBe(200);
  }
});

it('counts who is online as it was a second ago or later', async () => {
  const online = async () => (await listed(reader, 'energy'))!.members_online;
  expect(await online()).toBe(0);
  const socket = await city.socket('/rooms', 'u_alice');
  await socket.call('room.join', { room_id: 'room_city_energy' });
  const joinedAt = performance.now();
  for (;;) {
    const askedAt = performance.now();
    const count = await online();
    if (askedAt - joinedAt < COUNTS_MS) continue;
    expect(count).toBe(1);
    break;
  }
  expect((await detail(reader, 'energy')).room.members_online).toBe(1);
  socket.close();
});
