/** How many SQL statements a REST request costs: a small number of its own, however many rooms and messages there are. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { fillHistory, fillMembers, fillRooms, roomId, withClient } from '../../bench/fill.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import type { createRest } from '../support/rest.ts';
import { recordStatements } from '../support/statements.ts';
import { until } from '../support/until.ts';

const SIZES = [
  { rooms: 3, messages: 30, members: 3 },
  { rooms: 100, messages: 3_000, members: 150 },
];
/** Requests of each call, the first of them to a node that has answered nothing like it yet. */
const REQUESTS = 4;

interface Call {
  name: string;
  /** The statements that one request may make. */
  most: number;
  /** Those of the first, where the node has not seen its rooms before. */
  first?: number;
  method: string;
  path: string;
  body?: () => unknown;
}
/** Who calls is looked up in the background every few seconds, in a statement for all: no part of any call. */
const OF_NO_CALL = /^insert into city_users/;
const room = `/city/rooms/${roomId(0)}`;
const CALLS: Call[] = [
  { name: 'room list', most: 1, first: 2, method: 'GET', path: '/city/rooms' },
  { name: 'room detail', most: 2, first: 3, method: 'GET', path: room },
  { name: 'page of history', most: 2, method: 'GET', path: `${room}/messages?after_seq=0` },
  { name: 'members', most: 6, method: 'GET', path: `${room}/members` },
  { name: 'feed', most: 2, method: 'GET', path: '/city/feed' },
  { name: 'own feed', most: 1, method: 'GET', path: '/city/feed?scope=mine' },
  { name: 'front page', most: 4, method: 'GET', path: '/city/home' },
  { name: 'presence', most: 0, method: 'GET', path: '/city/presence' },
  { name: 'read mark', most: 2, method: 'PUT', path: `${room}/read`, body: () => ({ seq: 1 }) },
  { name: 'history of Second Me', most: 1, method: 'GET', path: '/secondme/history' },
  { name: 'profile of Second Me', most: 1, method: 'GET', path: '/secondme/profile' },
  {
    name: 'a message',
    most: 1,
    method: 'POST',
    path: `${room}/messages`,
    body: () => ({ body: 'hello', client_id: randomUUID() }),
  },
];

const statements = recordStatements();
const databases: TestDatabase[] = [];
const cities: City[] = [];
const clients: ReturnType<typeof createRest>[] = [];

beforeAll(async () => {
  for (const { rooms, messages, members } of SIZES) {
    const database = await createDatabase();
    databases.push(database);
    await withClient(database.url, async (client) => {
      await fillRooms(client, rooms);
      await fillMembers(client, roomId(0), members);
    });
    await fillHistory(database.url, { rooms, to: messages });
    const city = await startCity({ databaseUrl: database.url });
    cities.push(city);
    const rest = await city.rest('u_reader', 0, { name: 'Reader' });
    clients.push(rest);
    // A reader who is known: to be called what the token says is no part of any call either.
    await rest('GET', '/city/presence');
    await until(
      () =>
        withClient(database.url, async (client) => {
          const { rowCount } = await client.query(`select from city_users where id = 'u_reader'`);
          return rowCount;
        }),
      'the reader is known',
    );
  }
});
afterAll(async () => {
  await Promise.all(cities.map((city) => city.stop()));
  await Promise.all(databases.map((database) => database.drop()));
  statements.stop();
});

describe('SQL statements of one request', () => {
  it.each(CALLS)(
    '$name: at most $most, with many rooms as with few',
    async ({ most, first = most, method, path, body }) => {
      const needed: number[] = [];
      const atFirst: number[] = [];
      for (const rest of clients) {
        const counts: number[] = [];
        for (let i = 0; i < REQUESTS; i += 1) {
          const id = randomUUID();
          const { status } = await rest(method, path, body?.(), { 'x-request-id': id });
          expect(status).toBeLessThan(300);
          counts.push(statements.of(id).filter((sql) => !OF_NO_CALL.test(sql)).length);
        }
        atFirst.push(counts[0]!);
        needed.push(Math.max(...counts.slice(1)));
      }
      expect(needed[1]).toBe(needed[0]);
      expect(needed[0]).toBeLessThanOrEqual(most);
      expect(Math.max(...atFirst)).toBeLessThanOrEqual(first);
    },
  );

  it('is counted: a call that has to read is seen to read', async () => {
    const id = randomUUID();
    await clients[1]!('GET', `/city/rooms/${roomId(1)}/messages?after_seq=0`, undefined, {
      'x-request-id': id,
    });
    expect(statements.of(id).some((sql) => /city_room_messages/.test(sql))).toBe(true);
  });
});
