/** The feed of a city that was there before it became a view of the log (migration 0010). */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import type { FeedEvent } from '../../src/contract/feed.ts';
import { createFeed } from '../../src/feed/feed.service.ts';
import { createDb, rows } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { migrate, migrationSource } from '../../src/platform/migrate.ts';
import { postBatch } from '../../src/room-log/log.repo.ts';
import { withDatabase } from '../support/database.ts';

const NAME = `test_feed_${process.pid}`;
const [A, B, LATE] = ['room_city_a', 'room_city_b', 'room_city_c'];
const PER_ROOM = 7;
const log = createLogger('silent');
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
let admin: pg.Client;
let db: Db;

beforeAll(async () => {
  const adminUrl = process.env.TEST_PG_ADMIN_URL!;
  admin = new pg.Client({ connectionString: adminUrl });
  await admin.connect();
  await admin.query(`create database ${NAME} template template0`);
  db = createDb(withDatabase(adminUrl, NAME), log);
});
afterAll(async () => {
  await db.destroy();
  await admin.query(`drop database if exists ${NAME} with (force)`);
  await admin.end();
});

/** A message of the version before, which also numbered the event. */
const post = (room: string, n: number, agent: string | null) =>
  db.raw(`select city_post_one(?, ?, ?, 'u_ada', ?, 'Ада', ?, null)`, [
    room,
    `m_city_${room.at(-1)}${n}`,
    `evt_city_old${room.at(-1)}${n}`,
    agent,
    `text ${n}`,
  ]);

it('is what it was, page by page, and goes on', async () => {
  const before = (await migrationSource.getMigrations([])).filter((name) => name < '0010');
  await db.migrate.latest({ migrationSource: { ...migrationSource, getMigrations: async () => before } });
  const create = async (id: string) => {
    await db('city_rooms').insert({ id, slug: id, name: id });
    await db('city_room_heads').insert({ room_id: id });
    await db('city_room_members').insert({ room_id: id, user_id: 'u_ada' });
    await db.raw(
      `insert into city_feed_events (id, kind, room_id, user_id, payload) values (?, 'room_created', ?, 'u_ada', '{}')`,
      [`evt_city_${id}`, id],
    );
  };
  await create(A);
  await create(B);
  for (const n of upTo(PER_ROOM))
    for (const room of [A, B]) await post(room, n, n % 3 === 0 ? 'ag_bot' : null);
  await create(LATE);
  await db.raw(
    `insert into city_feed_events (id, kind, agent_id, payload) values (?, 'system', 'ag_system', '{}')`,
    [`evt_city_${'0'.repeat(25)}1`],
  );
  for (const n of upTo(PER_ROOM)) await post(LATE, n, null);
  await db.raw(`select city_send('[]', ?::jsonb)`, [
    JSON.stringify([{ ord: 0, kind: 'delete', room_id: A, message_id: 'm_city_a5', body: '' }]),
  ]);
  // As retention left it: the oldest events are gone, their messages are there.
  await db.raw(
    `delete from city_feed_events where n <= (select n from city_feed_events where message_id = 'm_city_a2')`,
  );
  const kept = `select kind, room_id, user_id, agent_id, payload, created_at, message_id
                from city_feed_events where removed_at is null order by n desc`;
  const old = await rows<{ kind: string; message_id: string | null }>(db, kept);

  await migrate(db);

  expect(await rows(db, kept)).toEqual(old);
  const newId = createIds();
  const feed = createFeed({ db, log, newId, enqueue: async () => {}, nudge: () => {} });
  const caller = { id: 'u_ada', name: undefined, roles: [], issuedAt: 0, expiresAt: Infinity };
  const paged = async (scope: 'city' | 'mine') => {
    const found: FeedEvent[] = [];
    for (;;) {
      const last = found.at(-1)?.id;
      const page = await feed.list(caller, {
        limit: 4,
        scope,
        ...(last === undefined ? {} : { before: last }),
      });
      found.push(...page);
      if (page.length < 4) return found.map(({ payload, kind }) => payload['message_id'] ?? kind);
    }
  };
  const wanted = old.map(({ message_id, kind }) => message_id ?? kind);
  expect(await paged('city')).toEqual(wanted);
  expect(await paged('mine')).toEqual(wanted.filter((of) => of !== 'system'));

  const creation = {
    id: newId('m_city'),
    room_id: A,
    sender_id: 'u_ada',
    author_user_id: 'u_ada',
    author_agent_id: null,
    username: 'Ада',
    body: 'after',
    client_id: null,
  };
  expect(await postBatch(db, [creation])).toMatchObject([{ seq: PER_ROOM + 1 }]);
  expect(await paged('city')).toEqual([creation.id, ...wanted]);

  // Places rise with seq in every room, which everything that looks for one rests on.
  const places = await rows<{ places: number[] }>(
    db,
    'select array_agg(feed_n order by seq) places from city_room_messages group by room_id',
  );
  expect(places).toHaveLength(3);
  for (const { places: of } of places) expect([...of].sort((a, b) => a - b)).toEqual(of);
});
