/** Pages of the feed: the city's against a list kept by hand, one's own against plain SQL in every state of timelines. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Caller } from '../../src/auth/caller.ts';
import { FeedEvent } from '../../src/contract/feed.ts';
import type { ListFeed } from '../../src/contract/feed.ts';
import { createFeedJob } from '../../src/feed/feed.job.ts';
import { insertRoomCreated, listCity } from '../../src/feed/feed.repo.ts';
import { createFeed } from '../../src/feed/feed.service.ts';
import { listMine } from '../../src/feed/timelines.repo.ts';
import type { Enqueue } from '../../src/jobs.ts';
import { createDb, rows } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { appendBatch } from '../../src/room-log/log.repo.ts';
import { until } from '../support/until.ts';
import { createDatabase } from '../support/database.ts';
import type { TestDatabase } from '../support/database.ts';

const log = createLogger('silent');
const newId = createIds();
const everything: ListFeed = { limit: 200, scope: 'city' };
const mine: ListFeed = { limit: 200, scope: 'mine' };
let database: TestDatabase;
let db: Db;

beforeAll(async () => {
  database = await createDatabase();
  db = createDb(database.url, log);
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

const as = (id: string): Caller => ({
  id,
  name: undefined,
  roles: ['citizen'],
  issuedAt: 0,
  expiresAt: Infinity,
});
const feedWith = (enqueue: Enqueue) => createFeed({ db, log, newId, enqueue, nudge: () => {} });
const list = (query: ListFeed, user = 'u_reader') => feedWith(async () => {}).list(as(user), query);
const ids = (events: { id: string }[]) => events.map(({ id }) => id);

/** A room, with the event of its creation. */
async function createRoom(slug: string): Promise<string> {
  const id = `room_city_${slug}`;
  await db.transaction(async (trx) => {
    await trx('city_rooms').insert({ id, slug, name: slug });
    await trx('city_room_heads').insert({ room_id: id });
    const payload = { name: slug, slug, username: 'Ада' };
    await insertRoomCreated(trx, { id: newId('evt_city'), room_id: id, user_id: 'u_ada', payload });
  });
  return id;
}

/** Sends a message by a user, or by an agent who is nobody's member; its ids. */
async function send(room_id: string, author = 'ag_bot', body = 'привіт') {
  const message = { id: newId('m_city'), room_id };
  const isAgent = author.startsWith('ag_');
  const by = {
    author_user_id: isAgent ? null : author,
    author_agent_id: isAgent ? author : null,
    username: 'Ада',
  };
  const [appended] = await appendBatch(
    db,
    [{ ...message, sender_id: author, body, client_id: null, ...by }],
    [],
  );
  expect(appended!.outcome).toBe('created');
  return { ...message, event_id: message.id.replace('m_city', 'evt_city') };
}
type Sent = Awaited<ReturnType<typeof send>>;

const remove = ({ id, room_id }: Sent) =>
  appendBatch(db, [], [{ kind: 'delete', room_id, message_id: id, body: '' }]);
const join = (room_id: string, user_id: string) =>
  db('city_room_members').insert({ room_id, user_id }).onConflict().ignore();
const leave = (room_id: string, user_id: string) =>
  db('city_room_members').where({ room_id, user_id }).delete();

describe('the feed of the city', () => {
  it('is in the form of the contract, newest first, without what was removed', async () => {
    const room = await createRoom('forms');
    const message = await send(room, 'u_ada', 'Привіт, місто');
    const removed = await send(room);
    const reply = await send(room, 'ag_bot');
    await remove(removed);
    const found = await list({ ...everything, limit: 3 });
    for (const event of found) expect(FeedEvent.strict().parse(event)).toEqual(event);
    expect(found.map(({ id, kind }) => [kind, id])).toEqual([
      ['agent_reply', reply.event_id],
      ['room_message', message.event_id],
      ['room_created', expect.any(String)],
    ]);
    expect(found[1]).toMatchObject({
      room_id: room,
      user_id: 'u_ada',
      agent_id: null,
      payload: { message_id: message.id, body: 'Привіт, місто', snippet: 'Привіт, місто', username: 'Ада' },
    });
    expect(found[2]!.payload).toEqual({ name: 'forms', slug: 'forms', username: 'Ада' });
  });

  it('pages by event id, also from one that was removed meanwhile, and by offset', async () => {
    const room = await createRoom('pages');
    const sent: Sent[] = [];
    for (let i = 0; i < 7; i++) sent.push(await send(room));
    const newest = [...sent].reverse();
    const first = await list({ ...everything, limit: 3 });
    expect(ids(first)).toEqual(newest.slice(0, 3).map(({ event_id }) => event_id));
    await remove(newest[2]!);
    const second = await list({ ...everything, limit: 3, before: first[2]!.id });
    expect(ids(second)).toEqual(newest.slice(3, 6).map(({ event_id }) => event_id));
    const byOffset = await list({ ...everything, limit: 3, offset: 2 });
    expect(byOffset).toEqual(second);
  });

  it('takes one kind, and refuses a cursor that never was', async () => {
    const room = await createRoom('kinds');
    const reply = await send(room, 'ag_bot');
    await send(room, 'u_ada');
    const replies = await list({ ...everything, kind: 'agent_reply' });
    expect(replies[0]!.id).toBe(reply.event_id);
    expect(new Set(replies.map(({ kind }) => kind))).toEqual(new Set(['agent_reply']));
    const before = newId('evt_city');
    await expect(list({ ...everything, before })).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'before', message: expect.any(String) }],
    });
  });

  it('goes through no messages for what is none', async () => {
    const room = await createRoom('none');
    await send(room);
    await join(room, 'u_none');
    const page = { limit: 5, offset: 0, before: undefined, kind: 'room_created' } as const;
    await db.transaction(async (trx) => {
      const looks = () =>
        rows(
          trx,
          `select seq_scan + idx_scan n from pg_stat_xact_user_tables where relname = 'city_room_messages'`,
        );
      const before = await looks();
      const found = [await listCity(trx, page, []), await listMine(trx, 'u_none', page)];
      for (const [newest] of found) expect(newest).toMatchObject({ kind: 'room_created', room_id: room });
      expect(await looks()).toEqual(before);
    });
  });
});

/** The whole feed of `user`, as plain SQL has it. */
const truth = (user: string) =>
  rows<{ id: string; kind: string }>(
    db,
    `select e.id, e.kind from city_feed_events e join city_room_members m using (room_id)
     where m.user_id = ? and e.removed_at is null order by e.n desc`,
    [user],
  );

/** Expects that every way to page through the feed of `user` gives the truth. */
async function expectExact(user: string): Promise<void> {
  const wanted = await truth(user);
  expect(ids(await list(mine, user))).toEqual(ids(wanted).slice(0, 200));
  const walked: string[] = [];
  for (;;) {
    const before = walked.at(-1);
    const page = await list({ ...mine, limit: 13, ...(before === undefined ? {} : { before }) }, user);
    walked.push(...ids(page));
    if (page.length < 13) break;
  }
  expect(walked).toEqual(ids(wanted));
  expect(ids(await list({ ...mine, limit: 5, offset: 11 }, user))).toEqual(ids(wanted).slice(11, 16));
  for (const kind of ['agent_reply', 'room_created'] as const) {
    const some = wanted.filter((event) => event.kind === kind);
    expect(ids(await list({ ...mine, limit: 5, kind }, user))).toEqual(ids(some).slice(0, 5));
  }
}

const timeline = (user: string, room: string) =>
  rows<{ n: number }>(
    db,
    'select event_n n from city_timelines where user_id = ? and room_id = ? order by event_n',
    [user, room],
  );

describe('my own feed', () => {
  it('is exact before and after the fan-out, with older history, a tail, and a removed event', async () => {
    const fanOut = createFeedJob({ db, log, bounds: { maxEvents: 3 } });
    const [room, other] = [await createRoom('states-a'), await createRoom('states-b')];
    const user = 'u_states';
    await send(room);
    await fanOut({ room_ids: [room] });
    await join(room, user);
    await join(other, user);
    await expectExact(user);
    const sent: Sent[] = [];
    for (let i = 0; i < 8; i++) sent.push(await send(i % 2 ? room : other));
    await expectExact(user);
    await fanOut({ room_ids: [room] });
    expect(await timeline(user, room)).toHaveLength(4);
    await expectExact(user);
    await remove(sent[3]!);
    await remove(sent[4]!);
    for (let i = 0; i < 4; i++) await send(i % 2 ? room : other);
    await expectExact(user);
    await fanOut({ room_ids: [room] });
    await fanOut({ room_ids: [other] });
    await expectExact(user);
  });

  it('holds no room twice or not at all after leaving and coming back', async () => {
    const fanOut = createFeedJob({ db, log });
    const room = await createRoom('return');
    const user = 'u_return';
    await join(room, user);
    await send(room);
    await fanOut({ room_ids: [room] });
    await send(room);
    await leave(room, user);
    expect(await list(mine, user)).toEqual([]);
    await fanOut({ room_ids: [room] });
    await join(room, user);
    expect(await list(mine, user)).toHaveLength(3);
    await expectExact(user);
    await send(room);
    await fanOut({ room_ids: [room] });
    expect(await timeline(user, room)).toHaveLength(3);
    await expectExact(user);
  });

  it('leaves large rooms to the reader, and goes on where it was when they shrink', async () => {
    const fanOut = createFeedJob({ db, log, bounds: { maxMembers: 2 } });
    const room = await createRoom('large');
    const users = ['u_large1', 'u_large2', 'u_large3'];
    await join(room, users[0]!);
    await send(room);
    await fanOut({ room_ids: [room] });
    for (const user of users) await join(room, user);
    await send(room);
    await fanOut({ room_ids: [room] });
    expect(await timeline(users[0]!, room)).toHaveLength(2);
    for (const user of users) await expectExact(user);
    await leave(room, users[1]!);
    await send(room);
    await fanOut({ room_ids: [room] });
    expect(await timeline(users[0]!, room)).toHaveLength(4);
    for (const user of users) await expectExact(user);
  });

  it('survives workers at the same room at once, and rooms that are gone', async () => {
    const fanOut = createFeedJob({ db, log, bounds: { maxEvents: 2 } });
    const room = await createRoom('workers');
    await join(room, 'u_workers');
    for (let i = 0; i < 12; i++) await send(room);
    await Promise.all(Array.from({ length: 4 }, () => fanOut({ room_ids: [room] })));
    expect(await timeline('u_workers', room)).toHaveLength(13);
    await expectExact('u_workers');
    await fanOut({ room_ids: ['room_city_gone'] });
  });

  it('is the truth whatever happens in whatever order', async () => {
    const random = seededRandom(20_261_121);
    const pick = <T>(from: T[]): T => from[Math.floor(random() * from.length)]!;
    const fanOut = createFeedJob({ db, log, bounds: { maxMembers: 3, maxEvents: 4, maxRows: 9 } });
    const rooms: string[] = [];
    for (let i = 0; i < 5; i++) rooms.push(await createRoom(`random-${i}`));
    const users = Array.from({ length: 5 }, (_, i) => `u_random${i}`);
    const sent: Sent[] = [];
    const acts: (() => Promise<unknown>)[] = [
      ...Array<() => Promise<unknown>>(4).fill(async () => sent.push(await send(pick(rooms)))),
      async () => sent.push(await send(pick(rooms), pick(users))),
      () => join(pick(rooms), pick(users)),
      () => join(pick(rooms), pick(users)),
      () => leave(pick(rooms), pick(users)),
      async () => sent.length > 0 && (await remove(pick(sent))),
      () => fanOut({ room_ids: [pick(rooms)] }),
      () => fanOut({ room_ids: [pick(rooms)] }),
    ];
    for (let step = 1; step <= 200; step++) {
      await pick(acts)();
      // Now and then several things at once.
      if (step % 10 === 0)
        await Promise.all([pick(acts)(), pick(acts)(), fanOut({ room_ids: [pick(rooms)] })]);
      if (step % 25 === 0) for (const user of users) await expectExact(user);
    }
    expect(await rows(db, 'select from city_timelines where user_id = any(?)', [users as never])).not.toEqual(
      [],
    );
  });
});

/** mulberry32: the same numbers in [0, 1) for the same seed. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe('hints', () => {
  it('queue one job for all rooms of a while, and shrug off a queue that is away', async () => {
    const queued: { room_ids: string[] }[] = [];
    const jobIds = new Set<string>();
    const feed = feedWith(async (_name, data, { jobId }) => {
      queued.push(data as { room_ids: string[] });
      jobIds.add(jobId);
      throw new Error('no Redis');
    });
    feed.hint(['room_city_a', 'room_city_b', 'room_city_a']);
    feed.hint(['room_city_b']);
    await until(() => queued.length > 0, 'the job');
    feed.hint(['room_city_a']);
    await until(() => queued.length > 1, 'the next job');
    expect(queued).toEqual([{ room_ids: ['room_city_a', 'room_city_b'] }, { room_ids: ['room_city_a'] }]);
    expect(jobIds.size).toBe(2);
    for (const jobId of jobIds) expect(jobId).not.toContain(':');
  });
});
