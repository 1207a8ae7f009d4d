/** The inspector's view: every node's place in every room's log, next to what is stored, and for admins alone. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { InspectedRooms } from '../../src/contract/inspect.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

const ROOM = 'room_city_general';
let city: City;
beforeAll(async () => {
  city = await startCity({ nodes: [{}, {}] });
});
afterAll(() => city.stop());

/** What node `asked` tells an admin, in the form that the contract gives it. */
async function look(asked: number, query = '') {
  const rest = await city.rest('u_admin', asked, { roles: ['admin'] });
  const { status, body } = await rest('GET', `/inspect/rooms${query}`);
  expect(status).toBe(200);
  return InspectedRooms.strict().parse(body);
}
const nameOf = async (node: number) => (await look(node)).node;

it('is for admins', async () => {
  const rest = await city.rest('u_mod', 0, { roles: ['moderator'] });
  expect((await rest('GET', '/inspect/rooms')).body.code).toBe('forbidden');
});

it('shows what each node delivered and what is stored, of all nodes, whichever is asked', async () => {
  const names = [await nameOf(0), await nameOf(1)];
  expect(names.map((name) => Number(name.split(':')[1]))).toEqual(city.apps.map((app) => app.port()));

  const [alice, alsoAlice, bob] = await Promise.all([
    city.socket('/rooms', 'u_alice', 0),
    city.socket('/rooms', 'u_alice', 0),
    city.socket('/rooms', 'u_bob', 1),
  ]);
  for (const socket of [alice, alsoAlice, bob]) await socket.call('room.join', { room_id: ROOM });
  const { message } = await alice.call('room.message.send', { room_id: ROOM, body: 'how far are you?' });
  await alice.call('room.message.edit', { room_id: ROOM, message_id: message.id, body: 'and now?' });
  await bob.next('room.message.updated');

  const at = { seq: message.seq, change_seq: message.change_seq + 1 };
  for (const asked of [0, 1]) {
    const seen = await until(async () => {
      const { nodes, heads } = await look(asked);
      const places = nodes.map(({ node, rooms }) => ({
        node,
        ...rooms.find(({ room_id }) => room_id === ROOM)!,
      }));
      return places.length === 2 && places.every(({ change_seq }) => change_seq === at.change_seq)
        ? { places, heads }
        : undefined;
    }, 'both nodes in the answer');
    const expected = [
      { node: names[0], room_id: ROOM, subscribers: 2, ...at },
      { node: names[1], room_id: ROOM, subscribers: 1, ...at },
    ].sort((a, b) => a.node!.localeCompare(b.node!));
    expect(seen.places).toEqual(expected);
    expect(seen.heads).toEqual([{ room_id: ROOM, ...at }]);
  }
  for (const socket of [alice, alsoAlice, bob]) socket.close();
});

it('shows the head of a room that it is asked for, open or not, and dates it by the clock of messages', async () => {
  const rest = await city.rest('u_alice');
  const { body: sent } = await rest('POST', '/city/rooms/science/messages', { body: 'nobody is here' });
  const { heads, at } = await look(1, '?room_id=science');
  expect(heads).toContainEqual({
    room_id: 'room_city_science',
    seq: sent.seq,
    change_seq: sent.change_seq,
  });
  expect(at >= sent.created_at).toBe(true);
  expect((await look(0, '?room_id=nowhere')).heads.map(({ room_id }) => room_id)).not.toContain(
    'room_city_nowhere',
  );
});

it('does not show a node for long after it was heard last', async () => {
  await city.start();
  const { node } = await look(2);
  await until(async () => (await look(0)).nodes.some((known) => known.node === node), 'the third node');
  await city.apps.pop()!.stop();
  await until(async () => !(await look(0)).nodes.some((known) => known.node === node), 'its end');
});
