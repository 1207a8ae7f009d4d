/** Who has which room open, on several nodes, with and without Redis. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { Move } from '../../src/presence/presence.store.ts';
import { until } from '../support/until.ts';
import { startPresenceCity } from './presence-nodes.ts';
import type { PresenceCity, PresenceNode } from './presence-nodes.ts';

const ROOM = 'room_city_general';
const OTHER = 'room_city_science';

let city: PresenceCity;
let a: PresenceNode, b: PresenceNode, c: PresenceNode;
const moves: Move[] = [];
const told = () => moves.map(({ kind, user_id }) => `${kind} ${user_id}`).sort();

beforeEach(async () => {
  city = await startPresenceCity(3);
  [a, b, c] = city.nodes as [PresenceNode, PresenceNode, PresenceNode];
  moves.length = 0;
  for (const { occupancy } of city.nodes) occupancy.onMove((move) => moves.push(move));
});
afterEach(() => city.stop());

it('tells the first connection in and the last out, over all nodes, and counts users', async () => {
  expect(await a.occupancy.open('s1', 'u_alice', ROOM)).toMatchObject({ first: true, members_online: 1 });
  expect(await a.occupancy.open('s1', 'u_alice', ROOM)).toMatchObject({ first: false, members_online: 1 });
  expect(await b.occupancy.open('s2', 'u_alice', ROOM)).toMatchObject({ first: false, members_online: 1 });
  expect(await b.occupancy.open('s3', 'u_bob', ROOM)).toMatchObject({ first: true, members_online: 2 });
  await b.occupancy.open('s3', 'u_bob', OTHER);
  expect(await c.occupancy.counts([ROOM, OTHER, 'room_city_none'])).toEqual(
    new Map([
      [ROOM, 2],
      [OTHER, 1],
      ['room_city_none', 0],
    ]),
  );
  expect(await c.occupancy.members(ROOM, 200)).toEqual(['u_alice', 'u_bob']);
  expect(await c.occupancy.members(ROOM, 1)).toHaveLength(1);
  expect((await c.occupancy.roomsOf('u_bob')).sort()).toEqual([ROOM, OTHER]);

  expect(await a.occupancy.close('s1', 'u_alice', ROOM)).toMatchObject({ last: false, members_online: 2 });
  expect(await a.occupancy.close('s1', 'u_alice', ROOM)).toMatchObject({ last: false, members_online: 2 });
  expect(await b.occupancy.close('s2', 'u_alice', ROOM)).toMatchObject({ last: true, members_online: 1 });
  expect(await b.occupancy.close('s2', 'u_alice', ROOM)).toMatchObject({ last: false, members_online: 1 });
  expect(await c.occupancy.roomsOf('u_alice')).toEqual([]);
});

it('hands each departure with a dead node to exactly one of the others, and takes it back when it wakes', async () => {
  const crowd = Array.from({ length: 250 }, (_, i) => `u_${i}`);
  await Promise.all(crowd.map((id, i) => a.occupancy.open(`s${i}`, id, ROOM)));
  await a.occupancy.open('both-a', 'u_both', ROOM);
  await b.occupancy.open('both-b', 'u_both', ROOM);
  a.link.cut();
  await until(() => moves.length >= crowd.length, 'everybody has gone');
  expect(await b.occupancy.counts([ROOM])).toEqual(new Map([[ROOM, 1]]));
  expect(moves.map(({ user_id }) => user_id).sort()).toEqual([...crowd].sort());
  expect(Math.min(...moves.map(({ members_online }) => members_online))).toBe(1);

  a.link.mend();
  await until(async () => (await b.occupancy.counts([ROOM])).get(ROOM) === 251, 'everybody is back');
  // Whom the room was told to have left it is told to have come.
  await until(() => moves.length >= 2 * crowd.length, 'everybody is announced again');
  const [left, back] = ['leave', 'join'].map((kind) => moves.filter((move) => move.kind === kind));
  expect(left).toHaveLength(crowd.length);
  expect(back!.map(({ user_id }) => user_id).sort()).toEqual([...crowd].sort());
});

it('reaps what a node that stopped in good order left open', async () => {
  await a.occupancy.open('s1', 'u_alice', ROOM);
  await a.stop();
  await until(() => moves.length > 0, 'alice has gone');
  expect(moves).toMatchObject([{ kind: 'leave', room_id: ROOM, user_id: 'u_alice', members_online: 0 }]);
});

it('answers from what this node knows while Redis is away, and makes good the rest when it is back', async () => {
  await a.occupancy.open('s1', 'u_alice', ROOM);
  await a.occupancy.open('s2', 'u_bob', ROOM);
  await b.occupancy.open('s9', 'u_zoe', ROOM);
  a.link.cut();
  await until(() => !a.redis.isUp(), 'the link is gone');
  expect(await a.occupancy.open('s3', 'u_carol', ROOM)).toMatchObject({ first: true, members_online: 3 });
  expect(await a.occupancy.open('s4', 'u_carol', ROOM)).toMatchObject({ first: false, members_online: 3 });
  expect(await a.occupancy.close('s1', 'u_alice', ROOM)).toMatchObject({ last: true, members_online: 2 });
  expect(await a.occupancy.counts([ROOM])).toEqual(new Map([[ROOM, 2]]));
  expect(await a.occupancy.members(ROOM, 9)).toEqual(['u_bob', 'u_carol']);
  expect(await a.occupancy.roomsOf('u_carol')).toEqual([ROOM]);
  a.link.mend();
  await until(
    async () => (await b.occupancy.members(ROOM, 9)).join() === 'u_bob,u_carol,u_zoe',
    'all is made good',
  );
  await until(() => moves.length >= 2, 'what others missed is announced');
  expect(told()).toEqual(['join u_carol', 'leave u_alice']);
});

it('asks a Redis that does not answer for one reader in a while, and for the others not at all', async () => {
  await a.occupancy.open('s1', 'u_alice', ROOM);
  a.link.hold();
  expect(await a.occupancy.counts([ROOM])).toEqual(new Map([[ROOM, 1]]));
  const turn = new Promise((done) => setImmediate(done, 'waited'));
  const others = Promise.all([a.occupancy.counts([ROOM]), a.occupancy.members(ROOM, 9)]);
  expect(await Promise.race([others, turn])).toEqual([new Map([[ROOM, 1]]), ['u_alice']]);
  a.link.mend();
});

it('registers everything again when a renewal took the lapsed lease and its answer was lost', async () => {
  await a.occupancy.open('s1', 'u_alice', ROOM);
  a.link.hold();
  await until(() => moves.length > 0, 'alice is believed gone with her node');
  const isReaped = async () => (await city.redis.zscore('city:nodes', a.lease.run)) === null;
  await until(isReaped, 'the node is reaped');
  await a.lease.renew().catch(() => {}); // one renewal at least is under way that nobody waits for any more
  a.link.mend();
  await until(async () => (await b.occupancy.counts([ROOM])).get(ROOM) === 1, 'alice is back');
});

it('closes what a Redis with an older state holds open, once it is back', async () => {
  await a.occupancy.open('s1', 'u_alice', ROOM);
  const keys = [`city:open:of:${a.lease.run}`, `city:open:room:${ROOM}`, 'city:open:user:u_alice'];
  const older = await Promise.all(keys.map((key) => city.redis.dumpBuffer(key)));
  await a.occupancy.close('s1', 'u_alice', ROOM);
  a.link.cut();
  for (const [i, key] of keys.entries()) await city.redis.restore(key, '0', older[i]!);
  expect(await b.occupancy.counts([ROOM])).toEqual(new Map([[ROOM, 1]]));
  a.link.mend();
  await until(async () => (await b.occupancy.counts([ROOM])).get(ROOM) === 0, 'nobody is there');
  await until(() => moves.length > 0, 'it is announced');
  expect(told()).toEqual(['leave u_alice']);
});

it('registers everything again when Redis was emptied', async () => {
  await a.occupancy.open('s1', 'u_alice', ROOM);
  await b.occupancy.open('s2', 'u_bob', OTHER);
  await city.redis.flushdb();
  await until(async () => {
    const counts = await c.occupancy.counts([ROOM, OTHER]);
    return counts.get(ROOM) === 1 && counts.get(OTHER) === 1;
  }, 'both rooms are open again');
  expect(moves).toEqual([]); // whom Redis forgot the rooms did not
  expect(await a.occupancy.close('s1', 'u_alice', ROOM)).toMatchObject({ last: true, members_online: 0 });
});
