/** Moderation across nodes: what one node decides takes effect on the others, with Redis and without. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startRedis } from '../../dev/services/redis.ts';
import type { Service } from '../../dev/services/programs.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

/** The contract's own deadline for live sockets, with a margin for a busy machine. */
const DEADLINE_MS = 2_000;
const MARGIN_MS = 1_500;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-moderation-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(['up', 'away'])('with Redis %s', (state) => {
  let redis: Service;
  let city: City;
  let rooms = 0;
  beforeAll(async () => {
    redis = await startRedis({ dataDir: join(folder, state), durable: false, log: () => {} });
    city = await startCity({ redisUrl: redis.url, nodes: [{}, {}] });
    if (state === 'up') return;
    await redis.stop();
    const rest = await city.rest('u_probe', 1);
    await until(async () => (await rest('GET', '/health/ready')).body.status === 'degraded', 'degraded');
  });
  afterAll(async () => {
    await city.stop();
    await redis.stop();
  });

  /** A room made on the first node; `here` and `there`: one citizen's sockets on both nodes, in the room. */
  const scene = async () => {
    const name = `${state}-${rooms++}`;
    const userId = `u_citizen-${name}`;
    const maker = await city.rest('u_maker', 0);
    const admin = await city.rest('u_admin', 0, { roles: ['admin'] });
    const room_id = (await maker('POST', '/city/rooms', { name, slug: name })).body.id as string;
    const [here, there] = await Promise.all([0, 1].map((node) => city.socket('/rooms', userId, node)));
    const witness = await city.socket('/rooms', 'u_witness', 1);
    for (const socket of [here!, there!, witness]) await socket.call('room.join', { room_id });
    const path = `/city/rooms/${room_id}`;
    return { room_id, userId, maker, admin, here: here!, there: there!, witness, path };
  };
  const inTime = async (what: Promise<unknown>, began: number) => {
    const result = await what;
    expect(Date.now() - began).toBeLessThan(DEADLINE_MS + MARGIN_MS);
    return result;
  };

  it('a ban is in force at once on every node, and closes the room on every socket in 2 s', async () => {
    const { room_id, userId, maker, admin, here, there, witness, path } = await scene();
    const began = Date.now();
    expect((await admin('POST', `${path}/moderation`, { action: 'ban', user_id: userId })).status).toBe(200);
    const elsewhere = await city.rest(userId, 1);
    const refused = await Promise.all([
      elsewhere('POST', `${path}/messages`, { body: 'x' }),
      elsewhere('GET', `${path}/messages`),
      elsewhere('POST', `${path}/join`),
    ]);
    expect(refused.map(({ status }) => status)).toEqual([403, 403, 403]);
    expect((await there.ack('room.message.send', { room_id, body: 'x' })).error.code).toBe('forbidden');
    expect((await there.ack('room.join', { room_id })).error.code).toBe('forbidden');
    const closed = { room_id, reason: 'banned' };
    expect(
      await inTime(Promise.all([here, there].map((socket) => socket.next('room.closed'))), began),
    ).toEqual([closed, closed]);
    await maker('POST', `${path}/messages`, { body: 'without you' });
    await witness.next('room.message');
    for (const socket of [here, there]) expect(socket.of('room.message')).toEqual([]);
    expect(witness.of('room.closed')).toEqual([]);
    for (const socket of [here, there, witness]) socket.close();
  });

  it('a kick closes once on every node, and the user comes back on any', async () => {
    const { room_id, userId, maker, admin, here, there, witness, path } = await scene();
    const began = Date.now();
    await admin('POST', `${path}/moderation`, { action: 'kick', user_id: userId });
    const closed = { room_id, reason: 'kicked' };
    expect(
      await inTime(Promise.all([here, there].map((socket) => socket.next('room.closed'))), began),
    ).toEqual([closed, closed]);
    for (const socket of [here, there]) await socket.call('room.join', { room_id });
    // By the time that a second kick has arrived over the rows alone, so has every repetition of the first.
    const other = await scene();
    await admin('POST', `${other.path}/moderation`, { action: 'kick', user_id: other.userId });
    await other.there.next('room.closed');
    await maker('POST', `${path}/messages`, { body: 'back again' });
    for (const socket of [here, there, witness]) await socket.next('room.message');
    for (const socket of [here, there]) expect(socket.of('room.closed')).toHaveLength(1);
    for (const each of [here, there, witness, other.here, other.there, other.witness]) each.close();
  });

  it('a mute holds on every node at once, and slow mode counts over all of them', async () => {
    const { room_id, userId, admin, here, there, witness, path } = await scene();
    await admin('POST', `${path}/moderation`, { action: 'mute', user_id: userId });
    for (const socket of [here, there]) {
      expect((await socket.ack('room.message.send', { room_id, body: 'x' })).error.code).toBe('forbidden');
    }
    await admin('POST', `${path}/moderation`, { action: 'unmute', user_id: userId });
    await admin('PATCH', path, { slow_mode_s: 3600 });
    const answers = await Promise.all(
      [here, there, here, there].map((socket) => socket.ack('room.message.send', { room_id, body: 'x' })),
    );
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
    expect(answers.filter(({ error }) => error?.code === 'rate_limited')).toHaveLength(3);
    for (const socket of [here, there, witness]) socket.close();
  });

  it('a deleted room is closed for everybody on every node', async () => {
    const { room_id, admin, here, there, witness, path } = await scene();
    const began = Date.now();
    expect((await admin('DELETE', path)).status).toBe(200);
    const closed = { room_id, reason: 'deleted' };
    const all = [here, there, witness];
    expect(await inTime(Promise.all(all.map((socket) => socket.next('room.closed'))), began)).toEqual(
      all.map(() => closed),
    );
    expect((await there.ack('room.message.send', { room_id, body: 'x' })).error.code).toBe('not_found');
    for (const socket of all) socket.close();
  });

  it('a deleted room disappears from every live feed, also from those of its members', async () => {
    const { room_id, admin, here, there, witness, path } = await scene();
    const all = [here, there, witness];
    for (const member of [here, there]) await member.call('feed.subscribe', { scope: 'mine' });
    await witness.call('feed.subscribe', { scope: 'city' });
    for (const body of ['one', 'two', 'three']) await here.call('room.message.send', { room_id, body });
    const shown = (socket: TestSocket): string[] =>
      socket
        .of('feed.events')
        .flatMap(({ events }) => events)
        .filter((event) => event.room_id === room_id && event.kind === 'room_message')
        .map(({ id }) => id);
    await until(() => all.every((socket) => shown(socket).length === 3), 'three events for each');
    expect((await admin('DELETE', path)).status).toBe(200);
    for (const socket of all) {
      const removed = () => socket.of('feed.removed').flatMap(({ ids }) => ids);
      await until(() => shown(socket).every((id) => removed().includes(id)), 'all three are gone');
      socket.close();
    }
  });
});
