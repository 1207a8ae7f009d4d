/** Who leaves a room is out of it on every node, also when the news of it is lost. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Service } from '../../dev/services/programs.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

let folder: string;
let redis: Service;
let city: City;

const launchRedis = (port: { port?: number } = {}) =>
  startRedis({ dataDir: join(folder, 'redis'), durable: false, log: () => {}, ...port });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'city-leaving-'));
  redis = await launchRedis();
  city = await startCity({ redisUrl: redis.url, nodes: [{}, {}] });
});
afterAll(async () => {
  await city.stop();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

it('a socket on another node is taken out without Redis, the others of the room are not', async () => {
  const [leaver, stayer] = await Promise.all(
    ['u_leaver', 'u_stayer'].map((user) => city.socket('/rooms', user, 1)),
  );
  const tab = await city.socket('/rooms', 'u_leaver', 1);
  for (const socket of [leaver!, tab, stayer!]) await socket.call('room.join', { room_id: 'general' });
  await leaver!.call('room.join', { room_id: 'science' });
  const { port } = redis;
  await redis.stop();

  const rest = await city.rest('u_leaver', 0);
  expect((await rest('POST', '/city/rooms/general/leave')).status).toBe(200);
  const closed = { room_id: 'room_city_general', reason: 'left' };
  expect(await leaver!.next('room.closed')).toEqual(closed);
  expect(await tab.next('room.closed')).toEqual(closed);

  const { message } = await stayer!.call('room.message.send', { room_id: 'general', body: 'still here' });
  await stayer!.next('room.message', (event) => event.message.id === message.id);
  const science = await stayer!.call('room.message.send', { room_id: 'science', body: 'for members' });
  await leaver!.next('room.message', (event) => event.message.id === science.message.id);
  expect(leaver!.of('room.message').map(({ room_id }) => room_id)).toEqual(['room_city_science']);
  expect(tab.of('room.message')).toEqual([]);
  expect(stayer!.of('room.closed')).toEqual([]);
  expect(leaver!.of('room.closed')).toEqual([closed]);

  // Who comes back stays.
  await leaver!.call('room.join', { room_id: 'general' });
  const again = await stayer!.call('room.message.send', { room_id: 'general', body: 'welcome back' });
  await leaver!.next('room.message', (event) => event.message.id === again.message.id);

  redis = await launchRedis({ port });
  const counted = async () => (await rest('GET', '/city/rooms/general')).body.online_members;
  await until(async () => (await counted()).join() === 'u_leaver,u_stayer', 'the counts are right');
  for (const socket of [leaver!, tab, stayer!]) socket.close();
}, 60_000);
