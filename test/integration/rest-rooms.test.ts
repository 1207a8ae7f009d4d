/** REST: rooms and the front page. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { REST } from '../../src/contract/rest.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { createRest } from '../support/rest.ts';
import { expectShape } from '../support/shape.ts';
import { until } from '../support/until.ts';

let city: City;
let alice: ReturnType<typeof createRest>;
let bob: ReturnType<typeof createRest>;
beforeAll(async () => {
  city = await startCity({ nodes: [{}, {}] });
  alice = await city.rest('u_alice', 0, { name: 'Alice' });
  bob = await city.rest('u_bob_0042', 1);
});
afterAll(() => city.stop());

let rooms = 0;
const newRoom = async (): Promise<string> => {
  const slug = `room-${++rooms}`;
  expect((await alice('POST', '/city/rooms', { name: slug, slug })).status).toBe(201);
  return slug;
};

describe('GET /city/rooms', () => {
  it('lists the default rooms first, then by name', async () => {
    const { status, body } = await alice('GET', '/city/rooms');
    expect(status).toBe(200);
    const list = expectShape(REST.listRooms.answers[200], body);
    const defaults = list.filter(({ is_default }) => is_default).map(({ slug }) => slug);
    expect(new Set(defaults)).toEqual(new Set(['general', 'welcome', 'builders']));
    expect(list.slice(0, 3).every(({ is_default }) => is_default)).toBe(true);
    const others = list.filter(({ is_default }) => !is_default).map(({ name }) => name);
    expect(others).toEqual([...others].sort((a, b) => a.localeCompare(b)));
    expect(list.map(({ slug }) => slug)).toEqual(expect.arrayContaining(['science', 'energy']));
  });

  it('pages by limit and offset', async () => {
    const all = (await alice('GET', '/city/rooms')).body;
    expect((await alice('GET', '/city/rooms?limit=2&offset=1')).body).toEqual(all.slice(1, 3));
    expect((await alice('GET', '/city/rooms?offset=100000')).body).toEqual([]);
  });

  it.each([
    'limit=0',
    'limit=-1',
    'limit=1.5',
    'limit=',
    'limit=x',
    'limit=10&limit=20',
    'limit=99999999999999999999',
    'offset=-1',
    'colour=red',
    '__proto__=1',
    'token=x',
  ])('refuses ?%s', async (query) => {
    const { status, body } = await alice('GET', `/city/rooms?${query}`);
    expect([status, body.code]).toEqual([400, 'invalid']);
    expect(body.errors.length).toBeGreaterThan(0);
  });
});

describe('POST /city/rooms', () => {
  it('creates a room that everybody then sees', async () => {
    const { status, body } = await alice('POST', '/city/rooms', {
      name: 'Night shift',
      slug: 'nights',
      description: 'For owls',
    });
    expect(status).toBe(201);
    expectShape(REST.createRoom.answers[201], body);
    expect(body).toMatchObject({
      id: 'room_city_nights',
      slug: 'nights',
      name: 'Night shift',
      description: 'For owls',
      is_default: false,
      created_by: 'u_alice',
      members_online: 0,
      last_event: null,
      last_seq: 0,
      last_change_seq: 0,
      unread: 0,
    });
    expect((await bob('GET', '/city/rooms/nights')).body.room).toEqual({ ...body, joined: false });
    const feed = (await bob('GET', '/city/feed?kind=room_created')).body;
    expect(feed[0]).toMatchObject({ kind: 'room_created', room_id: body.id, user_id: 'u_alice' });
  });

  it.each([
    ['Наука і техніка', /^nauka-i-/],
    ['Кава', /^kava$/],
    ['Щось Їстівне: Ґанок, Єнот!', /^[a-z]+-[a-z]+-[a-z]+-[a-z]+$/],
    ['Green  Energy 2', /^green-energy-2$/],
    ['ж'.repeat(80), /^.{1,64}$/],
  ])('derives the slug of %j', async (name, expected) => {
    const { status, body } = await alice('POST', '/city/rooms', { name });
    expect(status).toBe(201);
    expect(body.slug).toMatch(expected);
    expect(body.slug).toMatch(/^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);
    expect(body.id).toBe(`room_city_${body.slug}`);
    expect(body.name).toBe(name);
  });

  it('refuses a name that yields no slug, unless one is given', async () => {
    const refused = await alice('POST', '/city/rooms', { name: '！？…' });
    expect([refused.status, refused.body.code]).toEqual([400, 'invalid']);
    expect((await alice('POST', '/city/rooms', { name: '！？…', slug: 'what' })).status).toBe(201);
  });

  it('refuses a slug that is taken, given or derived', async () => {
    for (const body of [{ name: 'X', slug: 'general' }, { name: 'General' }, { name: 'GENERAL!' }]) {
      const answer = await alice('POST', '/city/rooms', body);
      expect([answer.status, answer.body.code]).toEqual([409, 'room_exists']);
    }
    const both = await Promise.all([alice, bob].map((rest) => rest('POST', '/city/rooms', { name: 'Race' })));
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409]);
  });

  it('counts code points', async () => {
    const fits = { name: '🌻'.repeat(80), slug: 'sunflowers', description: '🌻'.repeat(500) };
    expect((await alice('POST', '/city/rooms', fits)).status).toBe(201);
    const longName = { name: '🌻'.repeat(81), slug: 'too-long' };
    expect((await alice('POST', '/city/rooms', longName)).status).toBe(400);
    const longText = { name: 'x', slug: 'too-long', description: 'x'.repeat(501) };
    expect((await alice('POST', '/city/rooms', longText)).body.errors[0].path).toBe('description');
  });

  it.each([
    {},
    { name: '' },
    { name: ' \n\t\u00a0\u200b' },
    { name: 'a\0b' },
    { name: 'a\ud800b' },
    { name: 7 },
    { name: null },
    { name: ['x'] },
    { name: 'x', description: '\udc00' },
    { name: 'x', description: 5 },
    { name: 'x', slug: '' },
    { name: 'x', slug: '-x' },
    { name: 'x', slug: 'x-' },
    { name: 'x', slug: 'Upper' },
    { name: 'x', slug: 'a_b' },
    { name: 'x', slug: 'a\n' },
    { name: 'x', slug: 'a'.repeat(65) },
    { name: 'x', owner: 'me' },
    { name: 'x', is_default: true },
    [],
    'x',
  ])('refuses %j', async (body) => {
    const answer = await alice('POST', '/city/rooms', JSON.stringify(body));
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid']);
    expect(answer.body.errors.length).toBeGreaterThan(0);
  });

  it('refuses a field named __proto__', async () => {
    const raw = '{"name":"Proto","__proto__":{"is_default":true}}';
    expect((await alice('POST', '/city/rooms', raw)).status).toBe(400);
  });
});

describe('PUT /city/rooms/:room_id/read', () => {
  it('never counts below none, when the reader sends from elsewhere at the same moment', async () => {
    const slug = await newRoom();
    const sql = new pg.Client({ connectionString: city.database.url });
    await sql.connect();
    try {
      await alice('POST', `/city/rooms/${slug}/messages`, { body: 'first' });
      await sql.query('begin');
      await sql.query(
        `select city_post_one($1, 'm_city_at_once', 'u_alice', null, 'Alice', 'second', null)`,
        [`room_city_${slug}`],
      );
      const answer = alice('PUT', `/city/rooms/${slug}/read`, { seq: 1 });
      await until(async () => {
        const { rows } = await sql.query(
          `select from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())
           union all select from pg_locks l where not granted and transactionid = pg_current_xact_id()::xid`,
        );
        return rows.length > 0;
      }, 'the read mark waits');
      await sql.query('commit');
      expect(expectShape(REST.markRead.answers[200], (await answer).body)).toMatchObject({
        last_read_seq: 2,
        unread: 0,
      });
    } finally {
      await sql.end();
    }
  });
});

describe('GET /city/rooms/:room_id', () => {
  it('answers by id and by slug, at the root and under /v1', async () => {
    const paths = ['general', 'room_city_general'].flatMap((ref) => [
      `/city/rooms/${ref}`,
      `/v1/city/rooms/${ref}`,
    ]);
    const answers = await Promise.all(paths.map((path) => alice('GET', path)));
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expectShape(REST.getRoom.answers[200], body);
      expect(body).toEqual(answers[0]!.body);
    }
  });

  it('carries the last 50 messages, oldest first', async () => {
    const slug = await newRoom();
    const room_id = `room_city_${slug}`;
    const socket = await city.socket('/rooms', 'u_alice');
    await Promise.all(
      Array.from({ length: 55 }, (_, n) => socket.call('room.message.send', { room_id, body: `${n}` })),
    );
    socket.close();
    const { room, messages } = (await bob('GET', `/city/rooms/${slug}`)).body;
    expect(messages.map(({ seq }: { seq: number }) => seq)).toEqual(
      Array.from({ length: 50 }, (_, n) => n + 6),
    );
    expect(room).toMatchObject({ last_seq: 55, last_change_seq: 55, unread: 55, joined: false });
    expect(room.last_event).toBe(messages.at(-1).created_at);
  });

  it.each(['nowhere', 'room_city_nowhere', 'No_Such', '%00', 'a%2Fb', 'x'.repeat(65)])(
    'answers 404 for %s',
    async (ref) => {
      for (const [method, path, body] of [
        ['GET', '', undefined],
        ['GET', '/messages', undefined],
        ['POST', '/messages', { body: 'x' }],
        ['POST', '/join', undefined],
        ['POST', '/leave', undefined],
        ['GET', '/members', undefined],
        ['PUT', '/read', { seq: 1 }],
      ] as const) {
        const answer = await alice(method, `/city/rooms/${ref}${path}`, body);
        expect([path, answer.status, answer.body.code]).toEqual([path, 404, 'not_found']);
      }
    },
  );
});

describe('GET /city/home', () => {
  it('carries rooms, feed, who is online and totals', async () => {
    const socket = await city.socket('/presence', 'u_alice');
    const body = await until(async () => {
      const home = await bob('GET', '/city/home');
      expect(home.status).toBe(200);
      return home.body.totals.online === 1 && home.body;
    }, 'one user online');
    const home = expectShape(REST.home.answers[200], body);
    expect(home.rooms).toEqual((await bob('GET', '/city/rooms?limit=100')).body);
    expect(home.feed).toEqual((await bob('GET', '/city/feed')).body);
    expect(home.online).toEqual([expect.objectContaining({ user_id: 'u_alice', status: 'online' })]);
    expect(home.totals).toMatchObject({ rooms: home.rooms.length, away: 0 });
    expect((await bob('GET', '/city/home?limit=1')).status).toBe(400);
    socket.close();
  });
});
