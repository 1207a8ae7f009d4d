/** DELETE /me on two nodes and a worker: what somebody left is nowhere any more, and nobody else misses anything. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import pg from 'pg';
import { startAgentsCore } from '../../dev/agents-core.ts';
import { freePort } from '../../dev/services/programs.ts';
import type { Role } from '../../src/contract/auth.ts';
import type { Message } from '../../src/contract/messages.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';
import { dumpDatabase, dumpRedis } from '../support/dump.ts';
import { startProcess, untilReady } from '../support/processes.ts';
import type { CityProcess } from '../support/processes.ts';
import { leaseRedis } from '../support/redis.ts';
import type { RedisLease } from '../support/redis.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { forge, HOUR, now } from '../support/tokens.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-of-the-tests-that-is-long-enough';
const MARKER = 'Quagga7c41';
/** As REST, a token and a slug may spell it. */
const isMarked = (line: string) => line.toLowerCase().includes(MARKER.toLowerCase());
const marked = (what: string) => `${what} ${MARKER}`;
/** The promise, from the request to the end. */
const ERASED_MS = 60_000;
const GENERAL = 'room_city_general';

type Node = CityProcess & { url: string; opsUrl: string };

let database: TestDatabase;
let redis: RedisLease;
let agents: Awaited<ReturnType<typeof startAgentsCore>>;
let sql: pg.Client;
const started: CityProcess[] = [];
let nodes: Node[];

async function start(role: 'api' | 'worker'): Promise<Node> {
  const [port, opsPort] = [await freePort(), await freePort()];
  const node = startProcess({
    NODE_ENV: 'production',
    ROLE: role,
    PORT: String(port),
    OPS_PORT: String(opsPort),
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    JWT_SECRET: SECRET,
    AGENTS_SERVICE_URL: agents.url,
    RATE_LIMITS: 'off',
    LOG_LEVEL: 'debug',
  });
  started.push(node);
  const [url, opsUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${opsPort}`];
  await untilReady(role === 'api' ? url : opsUrl, node);
  return { ...node, url, opsUrl };
}

beforeAll(async () => {
  [database, redis, agents] = await Promise.all([
    createDatabase(),
    leaseRedis(),
    startAgentsCore({ delayMs: 50 }),
  ]);
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  nodes = await Promise.all([start('api'), start('api'), start('worker')]);
}, 90_000);
afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ exited }) => exited));
  await sql.end();
  await Promise.all([database.drop(), redis.release(), agents.stop()]);
});

const tokenOf = (sub: string, { name, roles }: { name?: string; roles?: Role[] } = {}) =>
  forge({ sub, name, roles, iat: now(), exp: now() + HOUR }, SECRET);
const restOf = (token: string, node = 0) => createRest(nodes[node]!.url, token);
const ask = async (query: string, values: unknown[] = []) => (await sql.query(query, values)).rows;
const finished = (userId: string) =>
  until(
    async () => {
      const [row] = await ask(
        `select finished_at - requested_at < interval '60 s' as in_time from city_erasures
         where user_hash = encode(sha256($1::bytea), 'hex') and finished_at is not null`,
        [userId],
      );
      return row;
    },
    `${userId} erased`,
    ERASED_MS,
  );

/** The whole history of a room, by REST. */
async function historyOf(rest: ReturnType<typeof createRest>, roomId: string): Promise<Message[]> {
  const messages: Message[] = [];
  for (;;) {
    const after = messages.at(-1)?.seq ?? 0;
    const { body } = await rest('GET', `/city/rooms/${roomId}/messages?after_seq=${after}&limit=200`);
    messages.push(...body.messages);
    if (!body.has_more) return messages;
  }
}
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

it('leaves nothing of a marker that was planted in everything, and everything of everybody else', async () => {
  const ANNA = 'u_anna_erased';
  const held = tokenOf(ANNA, { name: marked('Anna'), roles: ['moderator'] });
  const anna = restOf(held);
  const bob = restOf(tokenOf('u_bob', { name: 'Bob' }));
  const chief = restOf(tokenOf('u_chief', { roles: ['admin'] }), 1);

  // Bob's life, which is to stay as it is.
  const bobs = (await bob('POST', `/city/rooms/${GENERAL}/messages`, { body: 'mine', client_id: 'b-1' }))
    .body;
  await bob('POST', '/secondme/invoke', { prompt: 'a question of Bob’s' });

  // What Anna writes, wherever anything can be written.
  const send = async (room: string, body: string, more: object = {}) => {
    const answer = await anna('POST', `/city/rooms/${room}/messages`, { body, ...more });
    expect(answer.status).toBe(201);
    return answer.body as Message;
  };
  const den = await anna('POST', '/city/rooms', {
    name: marked('Den'),
    slug: 'den',
    description: marked('for'),
  });
  expect(den.status).toBe(201);
  await send('den', marked('alone'));
  await anna('POST', '/city/rooms', { name: 'Yard', slug: 'yard' });
  await bob('POST', '/city/rooms/yard/messages', { body: 'nice yard' });
  await send('yard', marked('thanks'));
  await chief('POST', '/city/rooms', { name: 'Pit', slug: 'pit' });
  await send('pit', marked('in a room that is deleted'));
  const early = await send('pit', marked('deleted before the room'));
  await anna('DELETE', `/city/rooms/pit/messages/${early.id}`);
  expect((await chief('DELETE', '/city/rooms/pit')).status).toBe(200);
  await send(GENERAL, marked('plain'), { client_id: `id-${MARKER}` });
  const edited = await send(GENERAL, 'first');
  await anna('PATCH', `/city/rooms/${GENERAL}/messages/${edited.id}`, { body: marked('second') });
  const deleted = await send(GENERAL, marked('regretted'), { client_id: `del-${MARKER}` });
  await anna('DELETE', `/city/rooms/${GENERAL}/messages/${deleted.id}`);
  const report = { room_id: GENERAL, message_id: bobs.id, reason: marked('rude') };
  expect((await anna('POST', '/city/reports', report)).status).toBe(201);
  const ofBob = await bob('POST', '/city/reports', { ...report, message_id: edited.id, reason: 'odd' });
  const noted = { status: 'dismissed', note: marked('no') };
  expect((await anna('PATCH', `/city/reports/${ofBob.body.id}`, noted)).status).toBe(200);
  const act = { action: 'mute', user_id: 'u_loud', reason: marked('loud') };
  expect((await anna('POST', '/city/rooms/yard/moderation', act)).status).toBe(200);
  const kick = { action: 'kick', user_id: ANNA, reason: 'enough' };
  expect((await chief('POST', '/city/rooms/yard/moderation', kick)).status).toBe(200);
  await anna('PUT', '/city/rooms/welcome/read', { seq: 1 });
  const asked = await anna(
    'POST',
    '/secondme/invoke',
    { prompt: marked('remember') },
    { 'Idempotency-Key': `key-${MARKER}` },
  );
  expect(asked.body.reply).toContain(MARKER);

  const sockets = await Promise.all(
    [0, 1].flatMap((node) =>
      ['/rooms', '/presence'].map((namespace) => connect(nodes[node]!.url + namespace, held)),
    ),
  );
  await sockets[0]!.call('room.join', { room_id: GENERAL });
  await sockets[1]!.call('presence.heartbeat', {});
  const watcher = await connect(`${nodes[1]!.url}/rooms`, tokenOf('u_bob', { name: 'Bob' }));
  const { room } = await watcher.call('room.join', { room_id: GENERAL });
  await watcher.call('feed.subscribe', { scope: 'city' });
  await until(
    async () => (await ask('select 1 from city_timelines where user_id = $1', [ANNA])).length > 0,
    'a timeline',
  );
  // One more, which a worker is at when she goes.
  const slow = { prompt: `${'word '.repeat(200)}${MARKER}` };
  const running = await anna('POST', '/secondme/invoke', slow, { prefer: 'respond-async' });
  await sockets[0]!.next('secondme.delta', (delta) => delta.invocation_id === running.body.invocation_id);

  // That the marker is found where it is, or its absence would show nothing.
  const before = await dumpDatabase(database.url);
  const where = new Set(before.filter(isMarked).map((line) => line.split(' ')[0]));
  expect([...where].sort()).toEqual([
    'city_events',
    'city_moderation_log',
    'city_reports',
    'city_room_messages',
    'city_rooms',
    'city_users',
    'secondme_invocations',
    'secondme_messages',
  ]);
  expect((await dumpRedis(redis.url)).some((line) => line.includes(ANNA))).toBe(true);
  const others = (lines: string[]) =>
    lines.filter((line) => /u_bob/.test(line) && !line.includes('dismissed'));
  const tombstones = (await historyOf(bob, GENERAL)).filter((m) => m.author_user_id === ANNA).length;

  const answer = await anna('DELETE', '/me');
  expect(answer).toMatchObject({ status: 202, body: { status: 'erasing' } });
  await until(() => sockets.every(({ raw }) => !raw.connected), 'no socket left', 6_000);
  for (const node of [0, 1]) {
    await until(async () => (await restOf(held, node)('GET', '/me/export')).status === 401, 'void', 6_000);
    const fresh = tokenOf(ANNA);
    // Tokens tell time in whole seconds, so that one of the same second is void too.
    expect(['conflict', 'unauthenticated']).toContain(
      (await restOf(fresh, node)('GET', '/city/rooms')).body.code,
    );
    const later = forge({ sub: ANNA, iat: now() + 2, exp: now() + HOUR }, SECRET);
    expect((await restOf(later, node)('GET', '/city/rooms')).body.code).toBe('conflict');
    const refused = await connect(`${nodes[node]!.url}/rooms`, later).catch((error: unknown) => error);
    expect(refused).toMatchObject({ data: { code: 'conflict' } });
    for (const token of [held, later]) {
      expect(await restOf(token, node)('DELETE', '/me')).toMatchObject({ status: 202, body: answer.body });
    }
  }

  expect(await finished(ANNA)).toEqual({ in_time: true });
  const after = await dumpDatabase(database.url);
  const found = (lines: string[]) => lines.filter((line) => isMarked(line) || line.includes(ANNA));
  expect(found(after)).toEqual([]);
  expect(found(await dumpRedis(redis.url))).toEqual([]);
  for (const { output } of nodes) {
    expect(output()).toContain('"level":"debug"');
    expect(output().split('\n').filter(isMarked)).toEqual([]);
  }

  // Nobody else misses anything: what Bob had is there, letter by letter.
  const kept = new Set(after);
  const changing = /^(city_read_marks|city_room_members|city_timelines|city_rooms|city_events) /;
  expect(others(before).filter((line) => !kept.has(line) && !changing.test(line))).toEqual([]);
  expect((await bob('GET', '/city/rooms/den')).status).toBe(404);
  const yard = (await bob('GET', '/city/rooms/yard')).body;
  expect(yard.room).toMatchObject({ name: 'Yard', created_by: expect.stringMatching(/^u_erased_/) });
  expect(yard.messages.map(({ body }: Message) => body)).toEqual(['nice yard', '']);

  // The log goes on without a gap, and who was there heard of every tombstone in order.
  const history = await historyOf(bob, GENERAL);
  expect(history.map(({ seq }) => seq)).toEqual(upTo(history.length));
  const gone = history.filter(({ author_user_id }) => author_user_id?.startsWith('u_erased_'));
  expect(gone).toHaveLength(tombstones);
  expect(new Set(gone.map(({ author_user_id }) => author_user_id)).size).toBe(1);
  for (const message of gone) {
    expect(message).toMatchObject({ body: '', client_id: null, deleted_at: expect.any(String) });
    expect(message.username).toMatch(/^User-/);
  }
  await until(() => watcher.of('room.message.deleted').length === tombstones, 'told of all');
  const told = watcher.of('room.message.deleted').map(({ message }) => message);
  expect(told.map(({ change_seq }) => change_seq)).toEqual(
    upTo(tombstones).map((n) => room.last_change_seq + n),
  );
  expect(told).toEqual(gone);
  await until(() => watcher.of('feed.removed').flatMap(({ ids }) => ids).length >= 4, 'gone from the feed');
  const back = await connect(`${nodes[0]!.url}/rooms`, tokenOf('u_bob', { name: 'Bob' }));
  const resumed = await back.call('room.join', { room_id: GENERAL, since: room.last_change_seq });
  expect(resumed.messages).toEqual(gone);

  // Who signs in again is somebody new; what was issued before stays void, on a node that starts later too.
  nodes.push(await start('api'));
  for (const node of [0, 1, 3]) {
    const blank = restOf(tokenOf(ANNA), node);
    await until(async () => (await blank('GET', '/city/rooms')).status === 200, 'let in again');
    expect((await restOf(held, node)('GET', '/city/rooms')).status).toBe(401);
    expect((await blank('GET', '/secondme/profile')).body.total_interactions).toBe(0);
    expect((await blank('GET', '/secondme/history')).body).toEqual([]);
    expect((await blank('GET', `/city/rooms/${GENERAL}`)).body.room.joined).toBe(false);
  }
  const first = await restOf(tokenOf(ANNA), 0)('POST', `/city/rooms/${GENERAL}/messages`, { body: 'hello' });
  expect(first.body.username).toBe(`User-${ANNA.slice(-4)}`);
  for (const socket of [watcher, back]) socket.close();
}, 120_000);

it('goes on where a killed worker left it', async () => {
  const CARL = 'u_carl_erased';
  const carl = await connect(`${nodes[0]!.url}/rooms`, tokenOf(CARL, { name: 'Carl' }));
  const dora = restOf(tokenOf('u_dora'), 1);
  // Two rooms of his; the second one is held up while the worker is at it.
  for (const slug of ['one', 'two']) {
    await dora('POST', '/city/rooms', { name: slug, slug });
    await dora('POST', `/city/rooms/${slug}/messages`, { body: 'of Dora' });
    const bodies = upTo(450).map((n) => ({ room_id: slug, body: `of Carl ${n}` }));
    await Promise.all(bodies.map((message) => carl.call('room.message.send', message)));
  }
  const left = async () => {
    const counts = await ask(
      'select room_id, count(*)::int n from city_room_messages where sender_id = $1 group by 1 order by 1',
      [CARL],
    );
    return Object.fromEntries(counts.map(({ room_id, n }) => [room_id, n]));
  };
  await sql.query('begin');
  await sql.query(`select from city_room_heads where room_id = 'room_city_two' for update`);
  const watcher = await connect(`${nodes[1]!.url}/rooms`, tokenOf('u_dora'));
  const { room } = await watcher.call('room.join', { room_id: 'one' });
  expect((await restOf(tokenOf(CARL), 0)('DELETE', '/me')).status).toBe(202);
  await until(async () => (await left()).room_city_one === undefined, 'the first room erased');
  const heldUp = 'from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))';
  await until(async () => (await ask(`select pid ${heldUp}`)).length > 0, 'the worker at the second room');
  const worker = nodes[2]!;
  worker.child.kill('SIGKILL');
  await worker.exited;
  // A backend that waits for a lock does not notice that its client has gone: it would finish its statement first.
  await ask(`select pg_terminate_backend(pid, 10_000) ${heldUp}`);
  await sql.query('commit');
  expect(await left()).toEqual({ room_city_two: 450 });

  nodes[2] = await start('worker');
  expect(await finished(CARL)).toEqual({ in_time: true });
  expect(await left()).toEqual({});
  expect((await dumpDatabase(database.url)).filter((line) => /of Carl|u_carl/.test(line))).toEqual([]);
  for (const slug of ['one', 'two']) {
    const history = await historyOf(dora, slug);
    expect(history.map(({ seq }) => seq)).toEqual(upTo(451));
    expect(history.filter(({ body }) => body !== '').map(({ body }) => body)).toEqual(['of Dora']);
    const changes = history.map(({ change_seq }) => change_seq);
    expect(changes).toEqual([1, ...upTo(450).map((n) => 451 + n)]);
  }
  const told = watcher.of('room.message.deleted').map(({ message }) => message.change_seq);
  expect(told).toEqual(upTo(450).map((n) => room.last_change_seq + n));
  watcher.close();
  carl.close();
}, 120_000);
