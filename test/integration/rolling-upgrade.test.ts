/** A roll of versions: a node starts on the schema of a newer one, as after a crash in the middle of it or a way back. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import knex from 'knex';
import type { Knex } from 'knex';
import { startCity } from '../support/city.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let db: Knex;
beforeAll(async () => {
  database = await createDatabase();
  db = knex({ client: 'pg', connection: database.url, pool: { min: 0, max: 2 } });
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

it('a node starts and serves on a schema that a newer version has expanded', async () => {
  await db.raw(`
    alter table city_room_messages add column newer text null;
    insert into knex_migrations (name, batch, migration_time) values ('9999_newer', 99, now())`);
  const city = await startCity({ databaseUrl: database.url });
  try {
    const rest = await city.rest('u_alice');
    const sent = await rest('POST', '/city/rooms/general/messages', { body: 'still here' });
    expect(sent.status).toBe(201);
    const socket = await city.socket('/rooms', 'u_bob');
    const { messages } = await socket.call('room.join', { room_id: 'general' });
    expect(messages.at(-1)).toMatchObject({ body: 'still here' });
    expect(Object.keys(messages.at(-1))).not.toContain('newer');
    socket.close();
  } finally {
    await city.stop();
  }
});
