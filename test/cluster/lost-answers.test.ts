/** A commit whose answer never arrives: neither lost nor doubled, and its sender is told so. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { startProxy } from '../support/proxy.ts';
import type { Proxy } from '../support/proxy.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const ROOM = 'room_city_general';

let city: City;
let database: TestDatabase;
let proxy: Proxy;
/** Past the proxy: one looks, the other holds a lock (in a transaction pg_stat_activity stands still). */
let direct: pg.Client;
let holder: pg.Client;
/** On the node whose answers get lost, and on another one. */
let author: TestSocket;
let elsewhere: TestSocket;

beforeAll(async () => {
  database = await createDatabase();
  proxy = await startProxy(Number(new URL(database.url).port));
  [direct, holder] = [database.url, database.url].map(
    (connectionString) => new pg.Client({ connectionString }),
  ) as [pg.Client, pg.Client];
  await Promise.all([direct.connect(), holder.connect()]);
  const behindProxy = Object.assign(new URL(database.url), { port: String(proxy.port) }).href;
  city = await startCity({ databaseUrl: database.url, nodes: [{ DATABASE_URL: behindProxy }, {}] });
  [author, elsewhere] = await Promise.all([
    city.socket('/rooms', 'u_author', 0),
    city.socket('/rooms', 'u_author', 1),
  ]);
  await author.call('room.join', { room_id: ROOM });
  await elsewhere.call('room.join', { room_id: ROOM });
});
afterAll(async () => {
  author.close();
  elsewhere.close();
  await city.stop();
  await Promise.all([proxy.close(), direct.end(), holder.end()]);
  await database.drop();
});

const bodies = async (): Promise<string[]> => {
  const found = await direct.query<{ body: string }>(
    'select body from city_room_messages where room_id = $1',
    [ROOM],
  );
  return found.rows.map(({ body }) => body);
};

/**
 * Runs `act` on the first node, lets its batch commit with no answer getting through, does `meanwhile`, and cuts the
 * connections. The batch is caught at the lock of its room, so that it is this commit and no other query that is cut.
 */
async function losingTheAnswer<T>(
  act: () => Promise<T>,
  body: string,
  meanwhile: () => Promise<unknown> = async () => {},
): Promise<T> {
  await holder.query('begin');
  await holder.query('select from city_room_heads where room_id = $1 for update', [ROOM]);
  const answer = act();
  await until(async () => {
    const { rowCount } = await direct.query(
      "select from pg_stat_activity where wait_event_type = 'Lock' and query ~ 'city_(post|send)' and datname = current_database()",
    );
    return rowCount === 1;
  }, 'the batch waits for the room');
  proxy.blackhole('to_client');
  await holder.query('commit');
  await until(async () => (await bodies()).includes(body), 'the commit');
  await meanwhile();
  proxy.reset();
  proxy.pass();
  return answer;
}

it('a message is acknowledged, is there once, and reaches every reader once', async () => {
  const sent = { room_id: ROOM, body: 'sent once', client_id: 'once' };
  const answer = await losingTheAnswer(() => author.ack('room.message.send', sent), sent.body);
  expect(answer).toMatchObject({ ok: true, data: { duplicate: false, message: { body: sent.body } } });
  expect((await bodies()).filter((body) => body === sent.body)).toHaveLength(1);
  const { message } = answer.data;
  for (const reader of [author, elsewhere]) {
    expect((await reader.next('room.message', (event) => event.message.id === message.id)).message).toEqual(
      message,
    );
  }
  const barrier = await author.call('room.message.send', { room_id: ROOM, body: 'barrier' });
  for (const reader of [author, elsewhere]) {
    await reader.next('room.message', (event) => event.message.id === barrier.message.id);
    expect(reader.of('room.message').filter((event) => event.message.id === message.id)).toHaveLength(1);
  }
});

it('an edit does not come back over a later one that was made on another node in between', async () => {
  const { message } = await author.call('room.message.send', { room_id: ROOM, body: 'draft' });
  const edit = (socket: TestSocket, body: string) =>
    socket.ack('room.message.edit', { room_id: ROOM, message_id: message.id, body });
  let second: Awaited<ReturnType<typeof edit>>;
  const first = await losingTheAnswer(
    () => edit(author, 'first edit'),
    'first edit',
    async () => (second = await edit(elsewhere, 'second edit')),
  );
  expect(second).toMatchObject({ ok: true, data: { message: { body: 'second edit' } } });
  // Committed, and answered as it is by now.
  expect(first).toEqual(second);
  expect((await bodies()).filter((body) => body.endsWith(' edit'))).toEqual(['second edit']);
  for (const reader of [author, elsewhere]) {
    const { message: seen } = await reader.next(
      'room.message.updated',
      (event) => event.message.body === 'second edit',
    );
    expect(seen).toEqual(second.data.message);
  }
  const { rows } = await direct.query<{ last: string }>(
    'select last_change_seq last from city_room_heads where room_id = $1',
    [ROOM],
  );
  expect(Number(rows[0]!.last)).toBe(second.data.message.change_seq);
});

it('an edit whose answer was lost is announced as the change that it was', async () => {
  const { message } = await author.call('room.message.send', { room_id: ROOM, body: 'plain' });
  const payload = { room_id: ROOM, message_id: message.id, body: 'mended' };
  const answer = await losingTheAnswer(() => author.ack('room.message.edit', payload), 'mended');
  expect(answer).toMatchObject({
    ok: true,
    data: { message: { body: 'mended', change_seq: message.change_seq + 1 } },
  });
  for (const reader of [author, elsewhere]) {
    const { message: seen } = await reader.next(
      'room.message.updated',
      (event) => event.message.id === message.id,
    );
    expect(seen).toEqual(answer.data.message);
  }
});
