/** What nodes tell each other about the people in a room may come late and out of order; what clients are told may not. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { closeAdapters, createIo } from '../../src/platform/io.ts';
import type { Io } from '../../src/platform/io.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { connectRedis } from '../../src/platform/redis.ts';
import type { RedisLinks } from '../../src/platform/redis.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

let city: City;
let db: Client;
/** Another node, as far as the city can tell. */
let stray: Io;
let redis: RedisLinks;
const sockets: TestSocket[] = [];
beforeAll(async () => {
  city = await startCity({ nodes: [{}, {}] });
  db = new Client({ connectionString: city.database.url });
  await db.connect();
  const log = createLogger('silent');
  redis = await connectRedis(city.redis.url, log);
  stray = createIo(redis, createMetrics(), log);
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});
afterAll(async () => {
  await closeAdapters(stray);
  await redis.close();
  await db.end();
  await city.stop();
});

const come = async (userId: string, node = 0) => {
  const socket = await city.socket('/rooms', userId, node);
  sockets.push(socket);
  return socket;
};
let rooms = 0;
const newRoom = async (): Promise<string> => {
  const rest = await city.rest('u_founder');
  return (await rest('POST', '/city/rooms', { name: `News ${++rooms}` })).body.id;
};
const tell = (name: string, news: object) => stray.rooms.serverSideEmit(name, news as never);

describe('late news of a closing', () => {
  it.each(['left', 'kicked', 'banned'])('takes out nobody who has joined since: %s', async (reason) => {
    const room_id = await newRoom();
    const [alice, gone] = [await come('u_alice', 1), await come('u_gone', 1)];
    for (const socket of [alice, gone]) await socket.call('room.join', { room_id });
    await db.query('delete from city_room_members where room_id = $1 and user_id = $2', [room_id, 'u_gone']);
    for (const user_id of ['u_alice', 'u_gone']) tell('room-closing', { room_id, user_id, reason });
    await gone.next('room.closed');
    expect(alice.of('room.closed')).toEqual([]);
    await alice.call('room.message.send', { room_id, body: 'still here' });
    await alice.next('room.message', ({ message }) => message.body === 'still here');
  });

  it('that was for everybody, when the room is there again', async () => {
    const room_id = await newRoom();
    const [alice, gone] = [await come('u_alice', 1), await come('u_gone', 1)];
    for (const socket of [alice, gone]) await socket.call('room.join', { room_id });
    await db.query('delete from city_room_members where room_id = $1 and user_id = $2', [room_id, 'u_gone']);
    tell('room-closing', { room_id, user_id: null, reason: 'deleted' });
    await gone.next('room.closed');
    expect(alice.of('room.closed')).toEqual([]);
    await alice.call('room.message.send', { room_id, body: 'still here' });
    await alice.next('room.message', ({ message }) => message.body === 'still here');
  });
});

describe('news of moves', () => {
  it('that cross leave the watchers with the last one, and with the last count', async () => {
    const room_id = await newRoom();
    const watcher = await come('u_watcher', 1);
    await watcher.call('room.join', { room_id });
    const at = Date.now() * 1_000 + 60_000_000;
    const move = (kind: string, user_id: string, when: number, members_online: number) =>
      tell('room-move', { kind, room_id, user_id, username: user_id, members_online, at: when });
    move('join', 'u_mover', at, 8);
    move('leave', 'u_mover', at - 1, 7);
    move('join', 'u_other', at - 2, 6);
    const last = await watcher.next('room.join', ({ user_id }) => user_id === 'u_other');
    expect(last.members_online).toBe(8);
    expect(watcher.of('room.leave')).toEqual([]);
    move('leave', 'u_mover', at + 1, 7);
    expect(await watcher.next('room.leave')).toEqual({
      room_id,
      user_id: 'u_mover',
      username: 'u_mover',
      members_online: 7,
    });
  });
});

describe('a connection that goes while it joins', () => {
  it('has come and gone, and takes the place of no other', async () => {
    const room_id = await newRoom();
    const watcher = await come('u_watcher', 1);
    await watcher.call('room.join', { room_id });
    const [first, second] = [await come('u_alice'), await come('u_alice')];
    await db.query('begin; lock table city_room_messages in access exclusive mode');
    const open = () => redis.commands.hget(`city:open:room:${room_id}`, 'u_alice');
    try {
      first.raw.emit('room.join', { room_id }, () => {});
      await until(async () => (await open()) === '1', 'the first joins');
      const joined = second.call('room.join', { room_id });
      await until(async () => (await open()) === '2', 'the second joins');
      first.close();
      await until(async () => (await open()) === '1', 'the first is gone');
      await db.query('commit');
      await joined;
    } finally {
      await db.query('rollback');
    }
    second.close();
    await watcher.next('room.leave', ({ user_id }) => user_id === 'u_alice');
    const heard = [...watcher.of('room.join'), ...watcher.of('room.leave')].filter(
      ({ user_id }) => user_id === 'u_alice',
    );
    expect(heard.map(({ members_online }) => members_online)).toEqual([2, 1]);
  });
});
