/** A node that heard nothing of many changes, and whose reading of them breaks off halfway. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:http';
import { createDb } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createIo } from '../../src/platform/io.ts';
import type { RoomsSocket } from '../../src/platform/io.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { connectRedis } from '../../src/platform/redis.ts';
import { appendBatch, readHeads } from '../../src/room-log/log.repo.ts';
import type { Appended } from '../../src/room-log/log.repo.ts';
import { createSequencer } from '../../src/room-log/sequencer.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { leaseRedis } from '../support/redis.ts';
import { connect } from '../support/sockets.ts';

const ROOM = 'room_city_general';
const log = createLogger('silent');
const newId = createIds();
let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await createDatabase();
  db = createDb(database.url, log, 3);
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

/** A connection pool on which the first read of changes past `number` fails. */
function breaking(pool: Db, number: number) {
  const broken = { reads: 0 };
  const raw = (sql: string, values: unknown[]) => {
    const isMeant = sql.includes('m.change_seq >') && Number(values[0]) > number;
    if (isMeant && ++broken.reads === 1) return Promise.reject(new Error('Connection terminated'));
    return pool.raw(sql, values as never);
  };
  const get = (target: Db, name: keyof Db) => (name === 'raw' ? raw : target[name]);
  return { broken, db: new Proxy(pool, { get: get as never }) };
}

const send = (body: string) => ({
  id: newId('m_city'),
  room_id: ROOM,
  sender_id: 'u_ada',
  author_user_id: 'u_ada',
  author_agent_id: null,
  username: 'Ада',
  body,
  client_id: null,
});

it('calls new what was never delivered, though it was edited meanwhile and the first try failed after it', async () => {
  const leased = await leaseRedis();
  const redis = await connectRedis(leased.url, log);
  const metrics = createMetrics();
  const http = createServer();
  const io = createIo(redis, metrics, log, http);
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
  const { broken, db: breakingDb } = breaking(db, 400);
  const sequencer = createSequencer({ db: breakingDb, rooms: io.rooms, log, metrics, pollMs: 50 });
  try {
    const connected = new Promise<RoomsSocket>((done) => io.rooms.once('connection', done));
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/rooms`;
    const client = await connect(url, undefined, { transports: ['websocket'] });
    const read = async () => ({ head: (await readHeads(db, [ROOM]))[0]! });
    await sequencer.join(await connected, ROOM, read, () => {});

    const sent: Appended[] = await appendBatch(
      db,
      Array.from({ length: 600 }, (_, n) => send(`${n}`)),
      [],
    );
    const early = sent.find(({ ord }) => ord === 3)!.message;
    await appendBatch(db, [], [{ kind: 'edit', room_id: ROOM, message_id: early.id, body: 'edited' }]);
    const [last] = await appendBatch(db, [send('last')], []);
    sequencer.start();

    await client.next('room.message', ({ message }) => message.id === last!.message.id);
    expect(broken.reads).toBeGreaterThan(1);
    expect(client.of('room.message.updated')).toEqual([]);
    const bodies = client.of('room.message').map(({ message }) => message.body);
    expect(bodies).toHaveLength(601);
    expect(bodies.slice(-2)).toEqual(['edited', 'last']);
    client.close();
  } finally {
    await sequencer.stop();
    await io.server.close();
    await redis.close();
    await leased.release();
  }
});
