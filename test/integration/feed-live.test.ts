/** The live feed on real sockets: each event once, in order, whichever node and connection committed it. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ROOMS_CLIENT_EVENTS } from '../../src/contract/events.ts';
import { FeedEvent } from '../../src/contract/feed.ts';
import type { FeedScope } from '../../src/contract/feed.ts';
import { createFeedHub } from '../../src/feed/feed.hub.ts';
import { attachFeed } from '../../src/feed/feed.socket.ts';
import { createDb, rows } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createGateway } from '../../src/platform/gateway.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createIo } from '../../src/platform/io.ts';
import type { RoomsSocket } from '../../src/platform/io.ts';
import { UNLIMITED } from '../../src/platform/limits.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { connectRedis } from '../../src/platform/redis.ts';
import { appendBatch } from '../../src/room-log/log.repo.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { leaseRedis } from '../support/redis.ts';
import type { RedisLease } from '../support/redis.ts';
import { connect } from '../support/sockets.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const log = createLogger('silent');
const newId = createIds();
const NEVER_MS = 3_600_000;
const [A, B] = ['room_city_general', 'room_city_science'];

let database: TestDatabase;
let redis: RedisLease;
let db: Db;
const cleanups: (() => unknown)[] = [];

beforeAll(async () => {
  [database, redis] = await Promise.all([createDatabase(), leaseRedis()]);
});
afterAll(async () => {
  await Promise.all([database.drop(), redis.release()]);
});
beforeEach(() => {
  db = createDb(database.url, log);
  cleanups.push(() => db.destroy());
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A node with nothing but the feed. Its pool is its own, so that `reads` counts what its hub alone has begun to read. */
async function startNode({ pollMs = NEVER_MS, batchMs = 50, patienceMs = 8_000 } = {}) {
  const own = createDb(database.url, log);
  const links = await connectRedis(redis.url, log);
  const metrics = createMetrics();
  const http = createServer().listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { server, rooms } = createIo(links, metrics, log, http);
  const gateway = createGateway<RoomsSocket, typeof ROOMS_CLIENT_EVENTS>(ROOMS_CLIENT_EVENTS, {
    log,
    metrics,
    limits: UNLIMITED,
    authorise: async () => {},
  });
  const hub = createFeedHub({ db: own, rooms, log, pollMs, batchMs, patienceMs });
  attachFeed({ hub, gateway });
  rooms.use((socket, next) => {
    const id = String(socket.handshake.auth['token']);
    socket.data.caller = { id, name: undefined, roles: ['citizen'], issuedAt: 0, expiresAt: Infinity };
    next();
  });
  rooms.on('connection', (socket) => gateway.attach(socket));
  let reads = 0;
  own.on('query', () => reads++);
  hub.start();
  const sockets: TestSocket[] = [];
  cleanups.push(async () => {
    await hub.stop();
    for (const { close } of sockets) close();
    await server.close();
    await links.close();
    await own.destroy();
  });
  const { port } = http.address() as AddressInfo;
  return {
    hub,
    reads: () => reads,
    /** A socket of `userId` that is subscribed to `scopes`. */
    async subscriber(userId: string, ...scopes: FeedScope[]): Promise<TestSocket> {
      const socket = await connect(`http://127.0.0.1:${port}/rooms`, userId, { transports: ['websocket'] });
      sockets.push(socket);
      for (const scope of scopes) await socket.call('feed.subscribe', { scope });
      return socket;
    },
  };
}
type Node = Awaited<ReturnType<typeof startNode>>;

/** Sends a message on a connection or in a transaction; its ids. */
async function send(on: Db, room_id: string, sender_id = 'ag_bot') {
  const message = { id: newId('m_city'), room_id };
  const isAgent = sender_id.startsWith('ag_');
  const author = {
    author_user_id: isAgent ? null : sender_id,
    author_agent_id: isAgent ? sender_id : null,
  };
  const rest = { sender_id, ...author, username: 'Бот', body: 'подія', client_id: null };
  await appendBatch(on, [{ ...message, ...rest }], []);
  return { ...message, event_id: message.id.replace('m_city', 'evt_city') };
}

/** A transaction that does not outlive its test. */
async function begin() {
  const trx = await db.transaction();
  cleanups.push(() => trx.isCompleted() || trx.rollback());
  return trx;
}

const remove = ({ id, room_id }: { id: string; room_id: string }) =>
  appendBatch(db, [], [{ kind: 'delete', room_id, message_id: id, body: '' }]);

/** The ids of everything that a socket was sent so far, in order. */
const received = (socket: TestSocket): string[] =>
  socket.of('feed.events').flatMap(({ events }: { events: FeedEvent[] }) => events.map(({ id }) => id));
const removals = (socket: TestSocket): string[] =>
  socket.of('feed.removed').flatMap(({ ids }: { ids: string[] }) => ids);

/** Commits one more event and waits until `sockets` have it: all that was committed before is delivered by then. */
async function barrier(nodes: Node[], sockets: TestSocket[], room = A): Promise<string> {
  const { event_id } = await send(db, room);
  for (const { hub } of nodes) hub.nudge();
  for (const socket of sockets) await until(() => received(socket).includes(event_id), 'the last event');
  return event_id;
}

/** Resolves when the hub of `node` has looked from the beginning since the call: a mark, and what lies up to it. */
async function nextRead(node: Node): Promise<void> {
  const seen = node.reads();
  await until(() => node.reads() >= seen + 4, 'three more reads, and the beginning of another');
}

describe('the live feed of the city', () => {
  it('delivers what is committed after the acknowledgement, in the form of the contract', async () => {
    const node = await startNode();
    await send(db, A);
    const socket = await node.subscriber('u_ada', 'city');
    const first = await send(db, A, 'u_ada');
    node.hub.nudge();
    const { events } = await socket.next(
      'feed.events',
      (payload) => payload.events.at(-1).id === first.event_id,
    );
    expect(FeedEvent.strict().parse(events.at(-1))).toMatchObject({
      kind: 'room_message',
      room_id: A,
      user_id: 'u_ada',
      payload: { message_id: first.id },
    });
  });

  it('delivers what an operator announces', async () => {
    const node = await startNode();
    const socket = await node.subscriber('u_ada', 'city');
    const id = newId('evt_city');
    await db('city_feed_events').insert({ id, kind: 'system', payload: { body: 'Свято міста' } });
    await barrier([node], [socket]);
    const [event] = socket.of('feed.events').flatMap(({ events }: { events: FeedEvent[] }) => events);
    expect(FeedEvent.strict().parse(event)).toMatchObject({ id, kind: 'system', room_id: null });
  });

  it('needs no news: the poll finds it', async () => {
    const node = await startNode({ pollMs: 20 });
    const socket = await node.subscriber('u_ada', 'city');
    const { event_id } = await send(db, A);
    await until(() => received(socket).includes(event_id), 'the event');
  });

  it('waits for an older transaction, then delivers all of it once and in order', async () => {
    const node = await startNode();
    const socket = await node.subscriber('u_ada', 'city');
    const held = await begin();
    const late = await send(held, A);
    const early = [await send(db, B), await send(db, B)];
    node.hub.nudge();
    await nextRead(node);
    expect(received(socket)).toEqual([]);
    await held.commit();
    // Not nudged again: a hub that has seen a commit waiting looks again by itself.
    await until(() => received(socket).length >= 3, 'three events');
    const last = await barrier([node], [socket]);
    expect(received(socket)).toEqual([late.event_id, ...early.map(({ event_id }) => event_id), last]);
  });

  it('is exactly once on two nodes, with writers on two connections, held and rolled back transactions', async () => {
    const nodes = [await startNode({ batchMs: 10 }), await startNode({ batchMs: 10 })];
    const sockets = [
      await nodes[0]!.subscriber('u_ada', 'city'),
      await nodes[1]!.subscriber('u_bob', 'city'),
    ];
    const writers = [createDb(database.url, log, 2), createDb(database.url, log, 2)];
    cleanups.push(() => Promise.all(writers.map((writer) => writer.destroy())));
    const write = async (writer: Db, room: string, node: Node) => {
      for (let i = 0; i < 40; i++) {
        const trx = await writer.transaction();
        try {
          await send(trx, room);
          if (i % 3 === 0) {
            // A later transaction commits first, and the hub looks while this one is still open.
            await send(db, 'room_city_energy');
            node.hub.nudge();
            await nextRead(node);
          }
        } finally {
          await (i % 8 === 7 ? trx.rollback() : trx.commit());
        }
        node.hub.nudge();
      }
    };
    const before = new Set(
      (await rows<{ id: string }>(db, 'select id from city_feed_events')).map(({ id }) => id),
    );
    await Promise.all([write(writers[0]!, A, nodes[0]!), write(writers[1]!, B, nodes[1]!)]);
    await barrier(nodes, sockets);
    const stored = await rows<{ id: string }>(db, 'select id from city_feed_events order by n');
    const wanted = stored.map(({ id }) => id).filter((id) => !before.has(id));
    expect(wanted.length).toBeGreaterThan(80);
    for (const socket of sockets) expect(received(socket)).toEqual(wanted);
  });

  it('says what was removed, and shows nothing that was removed before it could be shown', async () => {
    const node = await startNode();
    const socket = await node.subscriber('u_ada', 'city');
    const shown = await send(db, A);
    await barrier([node], [socket]);
    await remove(shown);
    const held = await begin();
    await send(held, B);
    const never = await send(db, A);
    await remove(never);
    await held.commit();
    await barrier([node], [socket]);
    expect(received(socket)).toContain(shown.event_id);
    expect(received(socket)).not.toContain(never.event_id);
    await until(() => removals(socket).length === 2, 'both removals');
    expect(removals(socket)).toEqual([shown.event_id, never.event_id]);
  });

  it('batches: a burst is few emits', async () => {
    const node = await startNode({ batchMs: 100 });
    const socket = await node.subscriber('u_ada', 'city');
    await barrier([node], [socket]);
    const start = Date.now();
    for (let i = 0; i < 30; i++) {
      await send(db, A);
      node.hub.nudge();
    }
    await barrier([node], [socket]);
    expect(received(socket)).toHaveLength(32);
    expect(socket.of('feed.events').length).toBeLessThanOrEqual(2 + (Date.now() - start) / 100);
  });

  it('goes on after the database was away', async () => {
    const node = await startNode({ pollMs: 20 });
    const socket = await node.subscriber('u_ada', 'city');
    const cut = `select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and pid <> pg_backend_pid()`;
    const sent: string[] = [];
    for (let i = 0; i < 3; i++) {
      await db.raw(cut);
      sent.push((await send(db, A)).event_id);
    }
    sent.push(await barrier([node], [socket]));
    expect(received(socket)).toEqual(sent);
  });
});

describe('subscriptions', () => {
  it('to my own feed bring the rooms of the member, as they are at the time, and every removal', async () => {
    const node = await startNode();
    const ada = await node.subscriber('u_ada-mine', 'mine');
    const bob = await node.subscriber('u_bob-mine', 'mine');
    const all = await node.subscriber('u_all', 'city');
    await db('city_room_members').insert([
      { room_id: A, user_id: 'u_ada-mine' },
      { room_id: B, user_id: 'u_bob-mine' },
    ]);
    const [inA, inB] = [await send(db, A), await send(db, B)];
    await barrier([node], [all], 'room_city_energy');
    await remove(inA);
    await remove(inB);
    await db('city_room_members').insert({ room_id: A, user_id: 'u_bob-mine' });
    const last = await barrier([node], [ada, bob, all]);
    await until(() => [ada, bob, all].every((socket) => removals(socket).length > 0), 'the removals');
    expect(received(ada)).toEqual([inA.event_id, last]);
    expect(received(bob)).toEqual([inB.event_id, last]);
    expect(removals(ada)).toEqual([inA.event_id, inB.event_id]);
    expect(removals(bob)).toEqual([inA.event_id, inB.event_id]);
    expect(removals(all)).toEqual([inA.event_id, inB.event_id]);
  });

  it('to my own feed bring what is removed from a room that the user has left, unless it bans them', async () => {
    const node = await startNode();
    const ann = await node.subscriber('u_ann', 'mine');
    const ben = await node.subscriber('u_ben', 'mine', 'city');
    const rooms = [A, B, 'room_city_energy'];
    await db('city_room_members').insert(rooms.map((room_id) => ({ room_id, user_id: 'u_ann' })));
    const shown = [await send(db, A), await send(db, B)];
    await barrier([node], [ann, ben]);
    await db('city_room_members').where({ user_id: 'u_ann' }).whereIn('room_id', [A, B]).delete();
    await db('city_room_restrictions').insert({ room_id: B, user_id: 'u_ann', kind: 'ban' });
    for (const one of shown) await remove(one);
    node.hub.nudge();
    await until(() => removals(ben).length === 2, 'both removals');
    await barrier([node], [ann, ben], 'room_city_energy');
    expect(removals(ann)).toEqual([shown[0]!.event_id]);
    expect(removals(ben)).toEqual(shown.map(({ event_id }) => event_id));
  });

  it('to both scopes bring each event once; ending one leaves the other', async () => {
    const node = await startNode();
    const socket = await node.subscriber('u_both', 'mine', 'city');
    await db('city_room_members').insert({ room_id: A, user_id: 'u_both' });
    const both = [await send(db, A), await send(db, B)].map(({ event_id }) => event_id);
    both.push(await barrier([node], [socket]));
    expect(received(socket)).toEqual(both);
    await socket.call('feed.unsubscribe', { scope: 'city' });
    await send(db, B);
    const own = await barrier([node], [socket]);
    expect(received(socket)).toEqual([...both, own]);
    await socket.call('feed.unsubscribe', { scope: 'mine' });
    const other = await node.subscriber('u_other', 'city');
    await barrier([node], [other]);
    expect(received(socket)).toEqual([...both, own]);
  });

  it('wait for what runs when they begin, and bring nothing of it', async () => {
    const node = await startNode();
    const held = await begin();
    await send(held, A);
    await send(db, B);
    const subscribing = node.subscriber('u_new', 'city');
    await nextRead(node);
    await held.commit();
    const subscriber = await subscribing;
    const last = await barrier([node], [subscriber]);
    expect(received(subscriber)).toEqual([last]);
  });

  it('are refused for now when that takes too long', async () => {
    const node = await startNode({ patienceMs: 50 });
    const held = await begin();
    await held.raw('select pg_current_xact_id()');
    const socket = await node.subscriber('u_patient');
    expect(await socket.ack('feed.subscribe', { scope: 'city' })).toMatchObject({
      error: { code: 'unavailable', retryable: true },
    });
    await held.rollback();
    // Transactions of other databases count, too: other tests have such.
    const again = async () => (await socket.ack('feed.subscribe', { scope: 'city' })).ok;
    await until(again, 'subscribed');
    const last = await barrier([node], [socket]);
    expect(received(socket)).toEqual([last]);
  });

  it('cost no reads when there are none, and begin anew with the next', async () => {
    const node = await startNode({ pollMs: 1 });
    const first = await node.subscriber('u_ada', 'city');
    await until(() => node.reads() > 2, 'some reads');
    await first.call('feed.unsubscribe', { scope: 'city' });
    // Longer than a hub with a cursor ever rests (batchMs), and many turns of the loop that it could have used.
    const idle = async () => {
      const seen = node.reads();
      const since = performance.now();
      for (let i = 0; i < 10 || performance.now() - since < 200; i++) await send(db, A);
      return node.reads() === seen;
    };
    await until(idle, 'no reads beside commits');
    const next = await node.subscriber('u_bob', 'city');
    const last = await barrier([node], [next]);
    expect(received(next)).toEqual([last]);
    expect(await next.ack('feed.subscribe', { scope: 'all' })).toMatchObject({ error: { code: 'invalid' } });
  });
});
