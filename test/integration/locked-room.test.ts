/** A room whose head somebody else has locked: what is sent to it waits, in order, and no other room waits with it. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { createDb } from '../../src/platform/db.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { COMMITS_MAX, createWriter } from '../../src/room-log/writer.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

let city: City;
/** Holds the lock. */
let holder: pg.Client;
/** Looks at who waits for it. */
let onlooker: pg.Client;
beforeAll(async () => {
  city = await startCity();
  [holder, onlooker] = [1, 2].map(() => new pg.Client({ connectionString: city.database.url })) as [
    pg.Client,
    pg.Client,
  ];
  await Promise.all([holder.connect(), onlooker.connect()]);
});
afterAll(async () => {
  await Promise.all([holder.end(), onlooker.end()]);
  await city.stop();
});

const createRooms = async (count: number): Promise<string[]> => {
  const maker = await city.rest(`u_maker_${randomUUID()}`);
  const made = await Promise.all(
    Array.from({ length: count }, (_, n) =>
      maker('POST', '/city/rooms', { name: `Room ${n} ${randomUUID()}` }),
    ),
  );
  expect(made.map(({ status }) => status)).toEqual(made.map(() => 201));
  return made.map(({ body }) => body.id as string);
};

const lockHeads = async (...roomIds: string[]) => {
  await holder.query('begin');
  await holder.query('select from city_room_heads where room_id = any($1) for update', [roomIds]);
};

/** A writer of its own, with as many connections as a node's; `append` resolves to the outcome of a message. */
const startWriter = () => {
  const log = createLogger('silent');
  const db = createDb(city.database.url, log, COMMITS_MAX + 1);
  const writer = createWriter({ db, log, metrics: createMetrics(), onCommitted: () => {} });
  return {
    async append(roomId: string) {
      const creation = {
        id: randomUUID(),
        room_id: roomId,
        sender_id: 'u_alice',
        author_user_id: 'u_alice',
        author_agent_id: null,
        username: 'Alice',
        body: 'x',
        client_id: null,
      };
      return (await writer.append({ creation })).outcome;
    },
    async stop() {
      await writer.settled();
      await db.destroy();
    },
  };
};

/** When the statements that wait for a lock were begun. */
const waiting = async (): Promise<string[]> => {
  const { rows } = await onlooker.query<{ begun: string }>(
    `select query_start::text begun from pg_stat_activity
     where wait_event_type = 'Lock' and datname = current_database()`,
  );
  return rows.map(({ begun }) => begun);
};

it('keeps its messages in order and lets those of other rooms pass', async () => {
  const [locked, other] = (await createRooms(2)) as [string, string];
  const rest = await city.rest('u_alice');
  for (const id of [locked, other]) await rest('POST', `/city/rooms/${id}/join`);
  const send = (id: string, body: string) => rest('POST', `/city/rooms/${id}/messages`, { body });
  await send(locked, 'before');

  await lockHeads(locked);
  let answered = 0;
  const held: ReturnType<typeof send>[] = [];
  for (let n = 0; n < 5; n++) {
    held.push(send(locked, `held ${n}`).finally(() => answered++));
    if (n === 0) await until(async () => (await waiting()).length > 0, 'the first message at the lock');
    // Its answer shows that the request before it has arrived, too.
    expect((await send(other, `passing ${n}`)).status).toBe(201);
  }
  expect(answered).toBe(0);
  expect(await waiting()).toHaveLength(1);
  await holder.query('commit');

  const sent = (await Promise.all(held)).map(({ status, body }) => [status, body.body, body.seq]);
  expect(sent).toEqual([0, 1, 2, 3, 4].map((n) => [201, `held ${n}`, n + 2]));
});

it('parts from the rooms that were to be committed with it, and is not joined with any again', async () => {
  const [locked, first, ...others] = (await createRooms(5)) as [string, string, ...string[]];
  const { append, stop } = startWriter();
  /** The first goes out at once; what comes with it waits for the next commit. */
  const together = () => {
    const [opening, held, ...rest] = [first, locked, ...others].map(append) as [
      Promise<string>,
      Promise<string>,
      ...Promise<string>[],
    ];
    return { held, rest: Promise.all([opening, ...rest]) };
  };
  const created = [first, ...others].map(() => 'created');
  await lockHeads(locked);

  const once = together();
  const refused = expect(once.held).rejects.toMatchObject({ code: '55P03' });
  expect(await once.rest).toEqual(created);
  await until(async () => (await waiting()).length > 0, 'the message that is left at the lock');
  await refused;

  const again = together();
  await until(async () => (await waiting()).length > 0, 'the message at the lock');
  const begun = await waiting();
  expect(await again.rest).toEqual(created);
  expect(await waiting()).toEqual(begun);
  await holder.query('commit');
  expect(await again.held).toBe('created');
  await stop();
});

it('leaves a place for the others, however many are locked', async () => {
  const [other, ...locked] = (await createRooms(COMMITS_MAX + 1)) as [string, ...string[]];
  const { append, stop } = startWriter();
  await lockHeads(...locked);
  const known = await Promise.allSettled(locked.map(append));
  expect(known).toMatchObject(locked.map(() => ({ status: 'rejected', reason: { code: '55P03' } })));

  const held = locked.map(append);
  await until(async () => (await waiting()).length === COMMITS_MAX - 1, 'as many at their locks as may be');
  const begun = await waiting();
  expect(await append(other)).toBe('created');
  expect(await waiting()).toEqual(begun);
  await holder.query('commit');
  expect(await Promise.all(held)).toEqual(locked.map(() => 'created'));
  await stop();
});
