/** A day in the city: two people on two nodes talk, see each other come and go, read the feed, ask their Second Me. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startAgentsCore } from '../../dev/agents-core.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

const ROOM = 'room_city_general';

let agents: Awaited<ReturnType<typeof startAgentsCore>>;
let city: City;
beforeAll(async () => {
  agents = await startAgentsCore({ delayMs: 0 });
  const AGENTS_SERVICE_URL = agents.url;
  city = await startCity({
    env: { AGENTS_SERVICE_URL },
    nodes: [{ ROLE: 'api' }, { ROLE: 'api' }, { ROLE: 'worker' }],
  });
});
afterAll(async () => {
  await city.stop();
  await agents.stop();
});

it('two people on two nodes', async () => {
  // Olena is here first.
  const olena = await city.socket('/rooms', 'u_olena', 0, { name: 'Олена' });
  const olenaPresence = await city.socket('/presence', 'u_olena', 0);
  await olena.call('room.join', { room_id: ROOM });
  await olena.call('feed.subscribe', { scope: 'city' });

  // Taras comes, on the other node.
  const taras = await city.socket('/rooms', 'u_taras', 1, { name: 'Тарас' });
  const tarasPresence = await city.socket('/presence', 'u_taras', 1);
  await olenaPresence.next(
    'presence.update',
    ({ user_id, status }) => user_id === 'u_taras' && status === 'online',
  );
  const joined = await taras.call('room.join', { room_id: ROOM });
  expect(joined.members_online).toBe(2);
  expect(await olena.next('room.join')).toEqual({
    room_id: ROOM,
    user_id: 'u_taras',
    username: 'Тарас',
    members_online: 2,
  });

  // They talk.
  await taras.call('room.typing', { room_id: ROOM, typing: true });
  await olena.next('room.typing', ({ user_ids }) => user_ids.includes('u_taras'));
  const { message } = await taras.call('room.message.send', { room_id: ROOM, body: 'Привіт, Олено!' });
  expect((await olena.next('room.message')).message).toEqual(message);
  const feed = await olena.next('feed.events');
  expect(feed.events).toEqual([
    expect.objectContaining({
      kind: 'room_message',
      room_id: ROOM,
      user_id: 'u_taras',
      payload: {
        message_id: message.id,
        body: 'Привіт, Олено!',
        snippet: 'Привіт, Олено!',
        username: 'Тарас',
      },
    }),
  ]);
  const rest = await city.rest('u_olena', 0);
  expect((await rest('GET', '/city/feed?limit=1')).body).toEqual(feed.events);
  expect((await rest('GET', '/city/feed?scope=mine&limit=1')).body).toEqual(feed.events);

  // Taras steps away, and the room sees it; then deletes what he said.
  await tarasPresence.call('presence.heartbeat', { idle_ms: 300_000 });
  expect(await olena.next('room.presence', ({ user_id }) => user_id === 'u_taras')).toMatchObject({
    room_id: ROOM,
    status: 'away',
    members_online: 2,
  });
  await taras.call('room.message.delete', { room_id: ROOM, message_id: message.id });
  expect((await olena.next('room.message.deleted')).message).toMatchObject({ id: message.id, body: '' });
  expect((await olena.next('feed.removed')).ids).toEqual([feed.events[0].id]);

  // Each asks their Second Me: the worker is another process, the pieces grow on every connection of the user.
  const second = await city.socket('/rooms', 'u_olena', 1);
  const { invocation_id } = await olena.call('secondme.invoke', { prompt: 'Що нового в місті?' });
  for (const connection of [olena, second]) {
    const reply = await connection.next('secondme.reply');
    expect(reply).toMatchObject({ invocation_id, status: 'succeeded', fallback: false });
    const pieces = connection.of('secondme.delta');
    expect(pieces.map(({ index }) => index)).toEqual(pieces.map((_, index) => index));
    expect(pieces.map(({ text }) => text).join('')).toBe(reply.reply);
  }
  expect(taras.of('secondme.delta')).toEqual([]);
  const asked = await (await city.rest('u_taras', 1))('POST', '/secondme/invoke', { prompt: 'Who am I?' });
  expect(asked).toMatchObject({
    status: 200,
    body: { fallback: false, history: [{ role: 'user' }, { role: 'assistant' }] },
  });

  // Taras goes.
  taras.close();
  tarasPresence.close();
  expect(await olena.next('room.leave')).toMatchObject({ user_id: 'u_taras', members_online: 1 });
  await olenaPresence.next(
    'presence.update',
    ({ user_id, status }) => user_id === 'u_taras' && status === 'offline',
  );
  const { body } = await rest('GET', '/city/home');
  expect(body.online.map(({ user_id }: { user_id: string }) => user_id)).toEqual(['u_olena']);
  await until(
    async () => (await rest('GET', `/city/rooms/${ROOM}`)).body.online_members.length === 1,
    'one inside',
  );
  for (const socket of [olena, olenaPresence, second]) socket.close();
});
