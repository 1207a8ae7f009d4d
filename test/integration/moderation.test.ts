/** Bans, mutes, kicks, slow mode, changing and deleting rooms, and the log of it all, on one node. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { ModerationAct } from '../../src/contract/moderation.ts';
import { Room } from '../../src/contract/rooms.ts';
import { createDb } from '../../src/platform/db.ts';
import type { Db } from '../../src/platform/db.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { fanOutBatch } from '../../src/feed/timelines.repo.ts';
import { emptyOldMessages } from '../../src/messages/retention.ts';
import { appendBatch } from '../../src/room-log/log.repo.ts';
import { endRoom, listEnded, purgeBatch } from '../../src/rooms/care.repo.ts';
import { createRoomCare } from '../../src/rooms/care.service.ts';
import { insertRoom } from '../../src/rooms/rooms.repo.ts';
import { seed } from '../../seeds/index.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { createRest } from '../support/rest.ts';
import { expectShape } from '../support/shape.ts';
import { until } from '../support/until.ts';

type Rest = ReturnType<typeof createRest>;

let city: City;
let mod: Rest;
let admin: Rest;
let sql: pg.Client;
/** Looks at what `sql` holds up: in a transaction it would see the sessions of its first look only. */
let onlooker: pg.Client;
let count = 0;
beforeAll(async () => {
  city = await startCity();
  mod = await city.rest('u_mod', 0, { roles: ['moderator'], name: 'Mod' });
  admin = await city.rest('u_admin', 0, { roles: ['admin'] });
  sql = new pg.Client({ connectionString: city.database.url });
  onlooker = new pg.Client({ connectionString: city.database.url });
  await Promise.all([sql.connect(), onlooker.connect()]);
});
afterAll(async () => {
  await onlooker.end();
  await sql.end();
  await city.stop();
});

/** Whether somebody waits for a lock. */
const waiting = async () => {
  const { rows } = await onlooker.query(
    `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
  );
  return rows.length > 0;
};

/** A new room, made by `u_maker`, and a new citizen who is a member. */
async function scene() {
  const n = count++;
  const maker = await city.rest('u_maker');
  const id = (await maker('POST', '/city/rooms', { name: `Room ${n}` })).body.id as string;
  const userId = `u_citizen${n}`;
  const rest = await city.rest(userId);
  await rest('POST', `/city/rooms/${id}/join`);
  const act = (action: string, more: object = {}, by = mod) =>
    by('POST', `/city/rooms/${id}/moderation`, { action, user_id: userId, ...more });
  return { id, path: `/city/rooms/${id}`, userId, rest, maker, act };
}
/** As far as purging goes, which looks for what is left ten times a second. */
const careOf = (db: Db, defaultRooms: string[]) =>
  createRoomCare({
    db,
    feed: { published() {} },
    defaultRooms,
    log: createLogger('silent'),
    sweepMs: 100,
  } as unknown as Parameters<typeof createRoomCare>[0]);

type Scene = Awaited<ReturnType<typeof sceneWithMessage>>;

/** The same, in which the citizen has sent a message. */
async function sceneWithMessage() {
  const there = await scene();
  const { body } = await there.rest('POST', `${there.path}/messages`, { body: 'mine', client_id: 'once' });
  return { ...there, messageId: body.id as string };
}
const FORBIDDEN = { status: 403, body: { code: 'forbidden' } };

describe('a ban', () => {
  it('covers the room over REST and sockets, ends the membership, and leaves other rooms alone', async () => {
    const { id, path, userId, rest, act, maker } = await scene();
    const { body: message } = await rest('POST', `${path}/messages`, { body: 'before' });
    const socket = await city.socket('/rooms', userId);
    await Promise.all([id, 'general'].map((room_id) => socket.call('room.join', { room_id })));

    const answer = await act('ban', { reason: 'spam' });
    expect(answer.status).toBe(200);
    expect(expectShape(ModerationAct, answer.body)).toMatchObject({
      action: 'ban',
      moderator_id: 'u_mod',
      room_id: id,
      user_id: userId,
      reason: 'spam',
      until: null,
      request_id: answer.headers.get('x-request-id'),
    });
    expect(await socket.next('room.closed')).toEqual({ room_id: id, reason: 'banned' });

    for (const [method, at, body] of [
      ['GET', ''],
      ['GET', '/messages'],
      ['GET', '/members'],
      ['POST', '/join'],
      ['PUT', '/read', { seq: 0 }],
      ['POST', '/messages', { body: 'after' }],
      ['POST', '/messages', { body: 'before', client_id: 'repeat' }],
      ['PATCH', `/messages/${message.id}`, { body: 'changed' }],
      ['DELETE', `/messages/${message.id}`],
    ] as [string, string, object?][]) {
      const refused = await rest(method, path + at, body);
      expect([method, at, refused.status]).toEqual([method, at, 403]);
      expect(refused.body.detail).toMatch(/banned/);
    }
    const refused = { ok: false, error: { code: 'forbidden', retryable: false } };
    expect(await socket.ack('room.join', { room_id: id })).toMatchObject(refused);
    expect(await socket.ack('room.message.send', { room_id: id, body: 'x' })).toMatchObject(refused);
    expect(await socket.ack('room.read', { room_id: id, seq: 0 })).toMatchObject(refused);

    const members = (await maker('GET', `${path}/members`)).body.members as { user_id: string }[];
    expect(members.map(({ user_id }) => user_id)).not.toContain(userId);
    expect(await socket.ack('room.message.send', { room_id: 'general', body: 'still here' })).toMatchObject({
      ok: true,
    });
    await maker('POST', `${path}/messages`, { body: 'among us' });
    await socket.next('room.message', ({ room_id }) => room_id === 'room_city_general');
    expect(socket.of('room.message').some(({ room_id }) => room_id === id)).toBe(false);

    expect((await act('unban')).status).toBe(200);
    await socket.call('room.join', { room_id: id });
    expect((await rest('GET', path)).status).toBe(200);
    socket.close();
  });

  it('hides the room from the feed, live and in pages, in every scope, and from the front page', async () => {
    const { id, path, userId, rest, act, maker } = await scene();
    const other = await scene();
    await other.rest('POST', `${path}/join`);
    await rest('POST', `${other.path}/join`);
    await maker('POST', `${path}/messages`, { body: 'old' });
    await act('ban');
    const [theirs, control, mine] = await Promise.all([
      city.socket('/rooms', userId),
      city.socket('/rooms', other.userId),
      city.socket('/rooms', userId),
    ]);
    await theirs.call('feed.subscribe', { scope: 'city' });
    await control.call('feed.subscribe', { scope: 'city' });
    await mine.call('feed.subscribe', { scope: 'mine' });

    const { body: secret } = await maker('POST', `${path}/messages`, { body: 'secret' });
    await maker('POST', `${other.path}/messages`, { body: 'open' });
    const events = (socket: typeof theirs) => socket.of('feed.events').flatMap(({ events }) => events);
    const bodies = (list: { payload: { body?: string } }[]) => list.map(({ payload }) => payload.body);
    await until(
      () => bodies(events(control)).includes('secret') && bodies(events(control)).includes('open'),
      'control',
    );
    for (const socket of [theirs, mine]) {
      await until(() => bodies(events(socket)).includes('open'), 'the open event');
      expect(events(socket).filter(({ room_id }) => room_id === id)).toEqual([]);
    }
    await maker('DELETE', `${path}/messages/${secret.id}`);
    await control.next('feed.removed');
    const { body: last } = await maker('POST', `${other.path}/messages`, { body: 'last' });
    await theirs.next('feed.events', ({ events }) =>
      events.some(({ payload }: { payload: { message_id: string } }) => payload.message_id === last.id),
    );
    expect(theirs.of('feed.removed')).toEqual([]);

    for (const query of [
      '',
      '?scope=mine',
      '?kind=room_message',
      '?scope=mine&kind=room_message',
      '?offset=0',
    ]) {
      const { status, body } = await rest('GET', `/city/feed${query}`);
      expect(status).toBe(200);
      expect(bodies(body)).toContain('open');
      expect(body.filter(({ room_id }: { room_id: string }) => room_id === id)).toEqual([]);
    }
    const { body: home } = await rest('GET', '/city/home');
    expect(home.feed.filter(({ room_id }: { room_id: string }) => room_id === id)).toEqual([]);
    expect(home.feed.length).toBeGreaterThan(0);
    for (const socket of [theirs, control, mine]) socket.close();
  });

  it('stops the view of who is in the room', async () => {
    const { id, userId, act } = await scene();
    const insider = `u_insider${count}`;
    const barrier = `u_barrier${count}`;
    const watch = async (who: string) => {
      const presence = await city.socket('/presence', who);
      await presence.next('presence.bulk_update');
      await presence.call('presence.unsubscribe', { city: true });
      await presence.call('presence.subscribe', { room_ids: [id], user_ids: [barrier] });
      return presence;
    };
    const [theirs, control] = await Promise.all([watch(userId), watch('u_watcher')]);
    const [inside, insidePresence] = await Promise.all([
      city.socket('/rooms', insider),
      city.socket('/presence', insider),
    ]);
    await inside.call('room.join', { room_id: id });
    await act('ban');
    await insidePresence.call('presence.heartbeat', { status: 'away' });
    const heard = (socket: typeof theirs, who: string) =>
      [
        ...socket.of('presence.update'),
        ...socket.of('presence.bulk_update').flatMap(({ users }) => users),
      ].filter(({ user_id }) => user_id === who);
    await until(() => heard(control, insider).length > 0, 'the control');
    const last = await city.socket('/presence', barrier);
    await until(() => heard(theirs, barrier).length > 0, 'the barrier');
    expect(heard(theirs, insider)).toEqual([]);

    expect(await theirs.ack('presence.subscribe', { room_ids: ['room_city_general', id] })).toMatchObject({
      ok: false,
      error: { code: 'forbidden' },
    });
    expect(await theirs.ack('presence.subscribe', { room_ids: ['room_city_general'] })).toMatchObject({
      ok: true,
    });
    for (const socket of [theirs, control, inside, insidePresence, last]) socket.close();
  });

  it.each([
    ['a zone', '2099-01-01T00:00:00+23:59', '2098-12-31T00:01:00.000Z'],
    ['a fraction', `2099-01-01T00:00:00.${'5'.repeat(200)}Z`, '2099-01-01T00:00:00.555Z'],
  ])('ends at a time with %s that PostgreSQL would not read', async (_, given, read) => {
    const { act } = await scene();
    expect(await act('ban', { until: given })).toMatchObject({ status: 200, body: { until: read } });
  });

  it('ends by itself', async () => {
    const { path, rest, act } = await scene();
    const end = new Date(Date.now() + 3_000).toISOString();
    expect((await act('ban', { until: end })).body.until).toBe(end);
    expect(await rest('POST', `${path}/join`)).toMatchObject(FORBIDDEN);
    await until(async () => (await rest('POST', `${path}/join`)).status === 200, 'the end of the ban');
    expect(Date.now()).toBeGreaterThanOrEqual(new Date(end).getTime() - 50);
    expect((await rest('POST', `${path}/messages`, { body: 'back' })).status).toBe(201);
  });

  it.each([
    [
      'a message',
      (id: string, userId: string) => [
        `select city_send(jsonb_build_array(jsonb_build_object('ord', 0, 'id', 'm_race_' || $2::text,
           'room_id', $1::text, 'sender_id', $2::text, 'author_user_id', $2::text, 'username', 'x', 'body', 'late')), '[]')`,
        [id, userId],
      ],
    ],
    [
      'a send that has looked and not yet written',
      (id: string) => ['select from city_room_heads where room_id = $1 for update', [id]],
    ],
    ['a membership', (id: string, userId: string) => ['select city_join($1, array[$2])', [id, userId]]],
  ] as const)('waits for %s on its way, and lets none commit after it', async (_, act) => {
    const { id, path, userId, act: moderate } = await scene();
    const [statement, values] = act(id, userId) as [string, string[]];
    await sql.query('delete from city_room_members where room_id = $1', [id]);
    await sql.query('begin');
    await sql.query(statement, values);
    let answered = false;
    const ban = moderate('ban').finally(() => {
      answered = true;
    });
    await until(async () => answered || (await waiting()), 'the ban at the lock', 1_900);
    expect(answered).toBe(false);
    await sql.query('commit');
    expect((await ban).status).toBe(200);
    const { last_seq } = (await mod('GET', path)).body.room;
    await sql.query(statement, values);
    expect((await mod('GET', path)).body.room.last_seq).toBe(last_seq);
    const { rows } = await sql.query('select from city_room_members where room_id = $1 and user_id = $2', [
      id,
      userId,
    ]);
    expect(rows).toEqual([]);
  });

  it.each(['/join', '/messages'])('is seen by a POST of %s that waited for it', async (at) => {
    const { id, path, userId, rest } = await scene();
    await sql.query('delete from city_room_members where room_id = $1', [id]);
    await sql.query('begin');
    await sql.query('select from city_room_heads where room_id = $1 for update', [id]);
    await sql.query('select from city_rooms where id = $1 for update', [id]);
    await sql.query(`insert into city_room_restrictions (room_id, user_id, kind) values ($1, $2, 'ban')`, [
      id,
      userId,
    ]);
    const answer = rest('POST', path + at, at === '/messages' ? { body: 'x' } : undefined);
    await until(waiting, 'a wait for the lock');
    await sql.query('commit');
    expect(await answer).toMatchObject(FORBIDDEN);
  });

  it.each([
    ['ban', 'PATCH', FORBIDDEN],
    ['ban', 'DELETE', FORBIDDEN],
    ['mute', 'PATCH', FORBIDDEN],
    ['mute', 'DELETE', { status: 200 }],
  ] as const)('or a mute is seen by a change that waited for it: %s, %s', async (kind, method, answered) => {
    const { id, path, userId, rest } = await scene();
    const { body: message } = await rest('POST', `${path}/messages`, { body: 'mine' });
    await sql.query('begin');
    await sql.query('select from city_room_heads where room_id = $1 for update', [id]);
    await sql.query('insert into city_room_restrictions (room_id, user_id, kind) values ($1, $2, $3)', [
      id,
      userId,
      kind,
    ]);
    const body = method === 'PATCH' ? { body: 'changed' } : undefined;
    const answer = rest(method, `${path}/messages/${message.id}`, body);
    await until(waiting, 'a wait for the lock');
    await sql.query('commit');
    expect(await answer).toMatchObject(answered);
    const { body: page } = await mod('GET', `${path}/messages`);
    expect(page.messages[0].body).toBe(answered === FORBIDDEN ? 'mine' : '');
  });
});

describe('a mute', () => {
  it('takes the voice, not the ears', async () => {
    const { id, path, userId, rest, act, maker } = await scene();
    const { body: message } = await rest('POST', `${path}/messages`, { body: 'mine', client_id: 'once' });
    const socket = await city.socket('/rooms', userId);
    await socket.call('room.join', { room_id: id });
    expect((await act('mute')).status).toBe(200);
    for (const [event, payload] of [
      ['room.message.send', { body: 'x' }],
      ['room.message.edit', { message_id: message.id, body: 'x' }],
      ['room.typing', { typing: true }],
    ] as const) {
      expect(await socket.ack(event, { room_id: id, ...payload })).toMatchObject({
        ok: false,
        error: { code: 'forbidden', message: expect.stringMatching(/muted/) },
      });
    }
    expect(await rest('POST', `${path}/messages`, { body: 'x' })).toMatchObject(FORBIDDEN);
    // What was sent before and is only repeated is answered.
    expect(await rest('POST', `${path}/messages`, { body: 'mine', client_id: 'once' })).toMatchObject({
      status: 200,
      body: { id: message.id },
    });
    await maker('POST', `${path}/messages`, { body: 'hear me' });
    await socket.next('room.message', ({ message: { body } }) => body === 'hear me');
    expect(await socket.ack('room.join', { room_id: id })).toMatchObject({ ok: true });
    expect((await rest('GET', `${path}/messages`)).body.messages).toHaveLength(2);
    expect((await rest('DELETE', `${path}/messages/${message.id}`)).status).toBe(200);
    await act('unmute');
    expect(await socket.ack('room.message.send', { room_id: id, body: 'x' })).toMatchObject({ ok: true });
    socket.close();
  });
});

describe('a kick', () => {
  it('ends membership and subscription once, and the user may come back', async () => {
    const { id, path, userId, rest, act } = await scene();
    const socket = await city.socket('/rooms', userId);
    await socket.call('room.join', { room_id: id });
    expect((await act('kick')).status).toBe(200);
    expect(await socket.next('room.closed')).toEqual({ room_id: id, reason: 'kicked' });
    expect((await rest('GET', path)).body.room.joined).toBe(false);
    await socket.call('room.join', { room_id: id });
    // Two looks at what changed lately have gone by once a second such change has been acted on.
    const other = await scene();
    const there = await city.socket('/rooms', other.userId);
    await there.call('room.join', { room_id: other.id });
    await sql.query('delete from city_room_members where room_id = $1', [other.id]);
    await sql.query(
      `insert into city_moderation_log (id, action, moderator_id, room_id, user_id) values ('by-hand', 'kick', 'u_x', $1, $2)`,
      [other.id, other.userId],
    );
    await there.next('room.closed');
    expect(socket.of('room.closed')).toHaveLength(1);
    expect(await socket.ack('room.typing', { room_id: id, typing: true })).toMatchObject({ ok: true });
    for (const each of [socket, there]) each.close();
  });
});

describe('who may moderate whom', () => {
  it('nobody themselves, a moderator no peer, an admin everybody', async () => {
    const { path } = await scene();
    await city.rest('u_mod2', 0, { roles: ['moderator'] }).then((rest) => rest('GET', '/city/rooms'));
    await admin('GET', '/city/rooms');
    const ban = (by: Rest, user_id: string) => by('POST', `${path}/moderation`, { action: 'ban', user_id });
    expect(await ban(mod, 'u_mod')).toMatchObject(FORBIDDEN);
    expect(await ban(admin, 'u_admin')).toMatchObject(FORBIDDEN);
    expect(await ban(mod, 'u_mod2')).toMatchObject(FORBIDDEN);
    expect(await ban(mod, 'u_admin')).toMatchObject(FORBIDDEN);
    expect((await ban(admin, 'u_mod2')).status).toBe(200);
    expect((await ban(mod, 'u_never_seen')).status).toBe(200);
    const demoted = await city.rest('u_mod2', 0, { roles: ['citizen'] });
    await demoted('GET', '/city/rooms');
    await until(async () => (await ban(mod, 'u_mod2')).status === 200, 'the demotion');
  });

  it('a role that is taken away by a newer token is gone on the live connection', async () => {
    const { id, maker, path } = await scene();
    const { body: message } = await maker('POST', `${path}/messages`, { body: 'theirs' });
    const socket = await city.socket('/rooms', 'u_shortlived', 0, { roles: ['moderator'] });
    await socket.call('auth.refresh', { token: await city.token('u_shortlived', { roles: ['citizen'] }) });
    expect(await socket.ack('room.message.delete', { room_id: id, message_id: message.id })).toMatchObject({
      ok: false,
      error: { code: 'forbidden' },
    });
    socket.close();
  });

  it.each([
    [{ action: 'ban' }, 'user_id'],
    [{ action: 'ban', user_id: 'ag_x' }, 'user_id'],
    [{ action: 'smite', user_id: 'u_x' }, 'action'],
    [{ action: 'ban', user_id: 'u_x', until: new Date(Date.now() - 1000).toISOString() }, 'until'],
    [{ action: 'ban', user_id: 'u_x', until: 'tomorrow' }, 'until'],
    [{ action: 'ban', user_id: 'u_x', until: '9999-12-31T23:59:59-23:59' }, 'until'],
    [{ action: 'kick', user_id: 'u_x', until: '2999-01-01T00:00:00.000Z' }, 'until'],
    [{ action: 'ban', user_id: 'u_x', reason: 'x'.repeat(501) }, 'reason'],
    [{ action: 'ban', user_id: 'u_x', forever: true }, 'forever'],
  ])('refuses %j', async (body, path) => {
    const refused = await mod('POST', '/city/rooms/general/moderation', body);
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid' } });
    expect(refused.body.errors.map((error: { path: string }) => error.path)).toEqual([path]);
  });

  it('knows no room that is not', async () => {
    const answer = await mod('POST', '/city/rooms/nowhere/moderation', { action: 'ban', user_id: 'u_x' });
    expect(answer.status).toBe(404);
  });
});

describe('slow mode', () => {
  it('holds for citizens, over every edge, and not for moderators and services', async () => {
    const { id, path, userId, rest, act: _, maker } = await scene();
    const changed = await maker('PATCH', path, { slow_mode_s: 3600 });
    expect(changed.status).toBe(200);
    expect(expectShape(Room, changed.body).slow_mode_s).toBe(3600);
    expect((await rest('POST', `${path}/messages`, { body: 'one', client_id: 'one' })).status).toBe(201);
    const slowed = await rest('POST', `${path}/messages`, { body: 'two' });
    expect(slowed).toMatchObject({ status: 429, body: { code: 'rate_limited' } });
    expect(Number(slowed.headers.get('retry-after'))).toBeGreaterThan(3500);
    expect(Number(slowed.headers.get('retry-after'))).toBeLessThanOrEqual(3600);
    const socket = await city.socket('/rooms', userId);
    const { error } = await socket.ack('room.message.send', { room_id: id, body: 'three' });
    expect(error).toMatchObject({ code: 'rate_limited', retryable: true });
    expect(error.retry_after_ms).toBeGreaterThan(3_500_000);
    expect((await rest('POST', `${path}/messages`, { body: 'one', client_id: 'one' })).status).toBe(200);
    const service = await city.rest('svc_slow', 0, { roles: ['service'] });
    for (const free of [mod, admin, service, mod, admin, service]) {
      expect((await free('POST', `${path}/messages`, { body: 'x' })).status).toBe(201);
    }
    await maker('PATCH', path, { slow_mode_s: 0 });
    expect((await rest('POST', `${path}/messages`, { body: 'two' })).status).toBe(201);
    // What was sent before slow mode begins counts too.
    await maker('PATCH', path, { slow_mode_s: 3600 });
    expect((await rest('POST', `${path}/messages`, { body: 'three' })).status).toBe(429);
    socket.close();
  });

  it('lets one of many through that come at once, and the next when the time is over', async () => {
    const { path, rest, maker } = await scene();
    await maker('PATCH', path, { slow_mode_s: 3 });
    const send = () => rest('POST', `${path}/messages`, { body: 'now' });
    const statuses = (await Promise.all(Array.from({ length: 10 }, send))).map(({ status }) => status);
    expect(statuses.sort()).toEqual([201, ...Array(9).fill(429)]);
    await until(async () => (await send()).status === 201, 'the next');
    const { body } = await maker('GET', `${path}/messages`);
    const [first, second] = body.messages.map(({ created_at }: { created_at: string }) =>
      new Date(created_at).getTime(),
    );
    // The wait is counted from a moment before the first one's own time.
    expect(second - first).toBeGreaterThanOrEqual(2_500);
  });
});

describe('changing a room', () => {
  it('is for its creator and moderators', async () => {
    const { path, rest, maker } = await scene();
    expect(await rest('PATCH', path, { name: 'Mine' })).toMatchObject(FORBIDDEN);
    const { body } = await maker('PATCH', path, { name: 'Новa назва', description: 'about' });
    expect(body).toMatchObject({ name: 'Новa назва', description: 'about', slow_mode_s: 0 });
    expect((await mod('PATCH', path, { description: null })).body).toMatchObject({
      name: 'Новa назва',
      description: null,
    });
    expect((await admin('GET', path)).body.room.name).toBe('Новa назва');
    for (const wrong of [
      {},
      { slow_mode_s: -1 },
      { slow_mode_s: 3601 },
      { slow_mode_s: 1.5 },
      { slug: 'x' },
      { name: ' ' },
    ]) {
      expect((await maker('PATCH', path, wrong)).status).toBe(400);
    }
    expect((await mod('PATCH', '/city/rooms/nowhere', { name: 'x' })).status).toBe(404);
  });
});

describe('deleting a room', () => {
  it('takes everything of it, tells who was there, and lets a new one begin', async () => {
    const { id, path, userId, rest, maker, act } = await scene();
    const socket = await city.socket('/rooms', userId);
    await socket.call('room.join', { room_id: id });
    await socket.call('feed.subscribe', { scope: 'city' });
    for (let i = 0; i < 3; i++) await maker('POST', `${path}/messages`, { body: `m${i}` });
    await until(() => socket.of('room.message').length === 3, 'three messages');
    const eventIds = ((await rest('GET', '/city/feed?limit=200')).body as { id: string; room_id: string }[])
      .filter(({ room_id }) => room_id === id)
      .map((event) => event.id);
    expect(eventIds).toHaveLength(4);
    await act('mute');

    for (const by of [rest, maker, mod]) expect(await by('DELETE', path)).toMatchObject(FORBIDDEN);
    expect(await admin('DELETE', path)).toMatchObject({ status: 200, body: { room_id: id, deleted: true } });
    expect(await socket.next('room.closed')).toEqual({ room_id: id, reason: 'deleted' });
    await until(
      () => eventIds.every((one) => socket.of('feed.removed').some(({ ids }) => ids.includes(one))),
      'the feed',
    );

    expect((await admin('DELETE', path)).status).toBe(404);
    for (const at of ['', '/messages', '/members']) expect((await maker('GET', path + at)).status).toBe(404);
    expect((await rest('POST', `${path}/messages`, { body: 'x' })).status).toBe(404);
    expect((await rest('POST', `${path}/join`)).status).toBe(404);
    expect((await rest('POST', `${path}/leave`)).status).toBe(404);
    expect(await socket.ack('room.join', { room_id: id })).toMatchObject({
      ok: false,
      error: { code: 'not_found' },
    });
    for (const query of ['?limit=200', '?scope=mine&limit=200']) {
      const { body } = await rest('GET', `/city/feed${query}`);
      expect(body.filter(({ room_id }: { room_id: string }) => room_id === id)).toEqual([]);
    }
    const { rows } = await sql.query<{ table_name: string }>(
      `select table_name from information_schema.columns where column_name = 'room_id' and table_schema = 'public'
       and table_name not in ('city_moderation_log', 'city_deleted_rooms', 'city_feed_removals', 'city_restrictions_in_force')`,
    );
    for (const { table_name } of rows) {
      const left = await sql.query(`select from ${table_name} where room_id = $1`, [id]);
      expect([table_name, left.rowCount]).toEqual([table_name, 0]);
    }

    const slug = id.replace('room_city_', '');
    const { body: again } = await maker('POST', '/city/rooms', { name: 'Again', slug });
    expect(again).toMatchObject({ id, last_seq: 0, unread: 0, joined: false });
    const since = again.last_change_seq;
    expect(since).toBe(4); // the deletion has a number, too
    const { messages } = await socket.call('room.join', { room_id: id, since });
    expect(messages).toEqual([]);
    const { message } = await socket.call('room.message.send', { room_id: id, body: 'new' });
    expect(message).toMatchObject({ seq: 1, change_seq: since + 1 });
    await socket.next('room.message', (event) => event.message.id === message.id);
    socket.close();
  });

  it('leaves nothing to a room that is made again at once, though no node has heard of it yet', async () => {
    const { id, path, maker, userId } = await scene();
    for (let i = 0; i < 3; i++) await maker('POST', `${path}/messages`, { body: `secret ${i}` });
    const [old, member] = [await city.socket('/rooms', userId), await city.socket('/rooms', 'u_member')];
    for (const socket of [old, member]) await socket.call('room.join', { room_id: id, since: 0 });
    await maker('POST', `${path}/messages`, { body: 'secret 3' });
    await old.next('room.message');

    const db = createDb(city.database.url, createLogger('silent'), 2);
    await endRoom(db, id);
    await db('city_moderation_log').insert({
      id: `mod_city_${id}`,
      action: 'delete_room',
      moderator_id: 'u_admin',
      room_id: id,
    });
    while (await purgeBatch(db, id, 100));
    await insertRoom(db, {
      slug: id.replace('room_city_', ''),
      name: 'Again',
      description: null,
      is_default: false,
      created_by: null,
    });
    await db('city_room_members').insert({ room_id: id, user_id: 'u_member' });
    await db.destroy();

    const socket = await city.socket('/rooms', 'u_newcomer');
    const { room, messages } = await socket.call('room.join', { room_id: id, since: 0 });
    expect(messages).toEqual([]);
    expect(room).toMatchObject({ last_seq: 0, last_change_seq: 5, unread: 0 });
    for (let i = 1; i <= 4; i++) await maker('POST', `${path}/messages`, { body: `new ${i}` });
    await socket.next('room.message', ({ message }) => message.seq === 4);
    expect(socket.of('room.message').map(({ message }) => [message.seq, message.change_seq])).toEqual([
      [1, 6],
      [2, 7],
      [3, 8],
      [4, 9],
    ]);
    expect(socket.of('room.message.updated')).toEqual([]);
    for (const one of [old, member]) {
      expect(await one.next('room.closed')).toEqual({ room_id: id, reason: 'deleted' });
      expect(one.of('room.message').map(({ message }) => message.body)).toEqual(['secret 3']);
      expect(one.of('room.message.updated')).toEqual([]);
    }
    const again = await member.call('room.join', { room_id: id });
    expect(again.messages).toHaveLength(4);
    for (const one of [old, member, socket]) one.close();
  });

  it('is purged in batches that may stop anywhere, and touches no new room of that id', async () => {
    const { id, path, maker, rest } = await scene();
    for (let i = 0; i < 5; i++) await maker('POST', `${path}/messages`, { body: `m${i}` });
    const db = createDb(city.database.url, createLogger('silent'), 2);
    try {
      expect(await purgeBatch(db, id, 2)).toBe(false); // it exists
      expect((await rest('GET', `${path}/messages`)).body.messages).toHaveLength(5);
      expect(await endRoom(db, id)).toBe(true);
      expect(await endRoom(db, id)).toBe(false);
      const slug = id.replace('room_city_', '');
      expect((await maker('POST', '/city/rooms', { name: 'Too soon', slug })).body.code).toBe('room_exists');
      expect(await purgeBatch(db, id, 2)).toBe(true);
      // Another node finds what one left behind.
      while ((await listEnded(db)).includes(id)) await purgeBatch(db, id, 2);
      for (const table of ['city_rooms', 'city_room_messages', 'city_timelines', 'city_room_members']) {
        const column = table === 'city_rooms' ? 'id' : 'room_id';
        expect((await sql.query(`select from ${table} where ${column} = $1`, [id])).rowCount).toBe(0);
      }
      expect((await maker('POST', '/city/rooms', { name: 'Again', slug })).status).toBe(201);
      await maker('POST', `${path}/messages`, { body: 'new' });
      expect(await purgeBatch(db, id, 2)).toBe(false);
      expect((await maker('GET', `${path}/messages`)).body.messages).toHaveLength(1);
      expect((await rest('GET', '/city/feed?limit=5')).body[0]).toMatchObject({ room_id: id });
    } finally {
      await db.destroy();
    }
  });

  it('leaves what somebody has locked to the next sweep, and purges the other rooms meanwhile', async () => {
    const locked = await scene();
    await locked.maker('POST', `${locked.path}/messages`, { body: 'held' });
    const others = [await scene(), await scene()];
    const db = createDb(city.database.url, createLogger('silent'), 2);
    const care = careOf(db, []);
    const ended = async () => (await listEnded(db)).filter((id) => scenes.includes(id));
    const scenes = [locked.id, ...others.map(({ id }) => id)];
    try {
      await sql.query('begin');
      await sql.query('select from city_room_messages where room_id = $1 for key share', [locked.id]);
      for (const id of scenes) await endRoom(db, id);
      care.start();
      await until(async () => (await ended()).length === 1, 'the purge of the others');
      expect(await ended()).toEqual([locked.id]);
      await sql.query('commit');
      await until(async () => (await ended()).length === 0, 'the next sweep');
    } finally {
      await care.stop();
      await db.destroy();
    }
  });

  it('is over before the room is made again, by a start whose default room it is and by the seeds', async () => {
    const { id, path, maker } = await scene();
    await maker('POST', `${path}/messages`, { body: 'old' });
    const db = createDb(city.database.url, createLogger('silent'), 2);
    const slugs = [id.replace('room_city_', ''), 'science'];
    const heads = async () =>
      (
        await sql.query(
          `select room_id, last_seq::int, last_change_seq::int from city_room_heads where room_id = any($1)`,
          [[id, 'room_city_science']],
        )
      ).rows.sort((a, b) => a.room_id.localeCompare(b.room_id));
    try {
      for (const room of [id, 'room_city_science']) await endRoom(db, room);
      await seed(db);
      expect(await heads()).toEqual([]);
      await careOf(db, slugs).ensureDefaults();
      expect(await heads()).toEqual([
        { room_id: id, last_seq: 0, last_change_seq: 2 },
        { room_id: 'room_city_science', last_seq: 0, last_change_seq: 1 },
      ]);
      expect((await maker('GET', `${path}/messages`)).body.messages).toEqual([]);
      expect((await maker('POST', `${path}/messages`, { body: 'new' })).body).toMatchObject({ seq: 1 });

      await endRoom(db, 'room_city_science');
      while (await purgeBatch(db, 'room_city_science', 100));
      await sql.query(
        `update city_deleted_rooms set last_change_seq = 7 where room_id = 'room_city_science'`,
      );
      await seed(db);
      expect(await heads()).toContainEqual({ room_id: 'room_city_science', last_seq: 0, last_change_seq: 8 });
    } finally {
      await db.destroy();
    }
  });

  it('refuses those that the next start would bring back', async () => {
    expect(await admin('DELETE', '/city/rooms/general')).toMatchObject({
      status: 409,
      body: { code: 'conflict' },
    });
    expect((await mod('GET', '/city/rooms/general')).status).toBe(200);
    expect((await admin('DELETE', '/city/rooms/energy')).status).toBe(200);
    expect((await admin('DELETE', '/city/rooms/nowhere')).status).toBe(404);
  });
});

describe('what meets the deletion of its room', () => {
  let db: Db;
  beforeAll(() => {
    db = createDb(city.database.url, createLogger('silent'), 4);
  });
  afterAll(() => db.destroy());

  const GONE = { status: 404, body: { code: 'not_found' } };
  /** Ends and purges the room in a transaction, under the eyes of `act`, which begins before the commit. */
  const meet = async <T>(id: string, act: () => Promise<T>, tables: string[] = []): Promise<T> => {
    await sql.query('begin');
    for (const table of tables) await sql.query(`delete from ${table} where room_id = $1`, [id]);
    await sql.query('delete from city_rooms where id = $1', [id]); // its head, too
    let answered = false;
    const answer = act().finally(() => (answered = true));
    answer.catch(() => {});
    await until(async () => answered || (await waiting()), 'a wait for the deletion', 1_900);
    await sql.query('commit');
    return answer;
  };

  it.each<[string, (scene: Scene) => [string, string, object?], boolean?]>([
    ['an edit', ({ path, messageId }) => ['PATCH', `${path}/messages/${messageId}`, { body: 'late' }]],
    ['a deletion', ({ path, messageId }) => ['DELETE', `${path}/messages/${messageId}`]],
    ['a message', ({ path }) => ['POST', `${path}/messages`, { body: 'late' }]],
    ['a repeated one', ({ path }) => ['POST', `${path}/messages`, { body: 'mine', client_id: 'once' }]],
    ['a membership', ({ path }) => ['POST', `${path}/join`]],
    ['a read mark', ({ path }) => ['PUT', `${path}/read`, { seq: 1 }]],
    ['a ban', ({ path }) => ['POST', `${path}/moderation`, { action: 'ban', user_id: 'u_other' }], true],
    ['a change of it', ({ path }) => ['PATCH', path, { slow_mode_s: 60 }], true],
  ])('%s finds no room', async (_, call, moderates = false) => {
    const there = await sceneWithMessage();
    // Who is no member yet has something to write.
    await sql.query('delete from city_room_members where room_id = $1', [there.id]);
    const by = moderates ? mod : there.rest;
    expect(await meet(there.id, () => by(...call(there)))).toMatchObject(GONE);
  });

  it('a report finds no message', async () => {
    const { id, messageId } = await sceneWithMessage();
    const reporter = await city.rest('u_reporter');
    const report = () =>
      reporter('POST', '/city/reports', { room_id: id, message_id: messageId, reason: 'x' });
    expect(await meet(id, report, ['city_room_messages'])).toMatchObject(GONE);
  });

  it('a message in slow mode finds no room while its row is still there', async () => {
    const { id, userId, maker, path } = await sceneWithMessage();
    await maker('PATCH', path, { slow_mode_s: 60 });
    await endRoom(db, id);
    const creation = {
      id: `m_city_slow${count}`,
      room_id: id,
      sender_id: 'u_other',
      author_user_id: 'u_other',
      author_agent_id: null,
      username: userId,
      body: 'late',
      client_id: null,
    };
    const [appended] = await meet(id, () => appendBatch(db, [creation], []));
    expect(appended).toMatchObject({ ord: 0, outcome: 'no_room' });
  });

  it('what shares its batch is stored', async () => {
    const [ended, other] = [await sceneWithMessage(), await sceneWithMessage()];
    await endRoom(db, ended.id);
    const edit = ({ id, messageId }: Scene) =>
      ({ kind: 'edit', room_id: id, message_id: messageId, body: 'changed' }) as const;
    const found = await appendBatch(db, [], [edit(ended), edit(other)]);
    expect(found.map(({ ord, outcome }) => [ord, outcome]).sort()).toEqual([
      [0, 'no_room'],
      [1, 'changed'],
    ]);
  });

  it('what is locked while the rest of the room is purged goes before the room does', async () => {
    const { id, messageId } = await sceneWithMessage();
    await endRoom(db, id);
    await sql.query('begin');
    await sql.query('select from city_room_messages where id = $1 for key share', [messageId]);
    while (await purgeBatch(db, id, 10));
    const left = async () => {
      const { rows } = await sql.query(
        `select (select count(*)::int from city_room_messages where room_id = $1) messages,
                (select count(*)::int from city_rooms where id = $1) rooms`,
        [id],
      );
      return rows[0];
    };
    expect(await left()).toEqual({ messages: 1, rooms: 1 });
    await sql.query('commit');
    while (await purgeBatch(db, id, 10));
    expect(await left()).toEqual({ messages: 0, rooms: 0 });
  });

  it.each<[string, (id: string) => Promise<boolean>]>([
    ['retention', (id) => emptyOldMessages(db, id, 1, 10)],
    ['a timeline', (id) => fanOutBatch(db, id, { maxMembers: 10, maxEvents: 10, maxRows: 10 })],
  ])('%s finds nothing to do', async (_, act) => {
    const { id } = await sceneWithMessage();
    await sql.query(
      `update city_room_messages set created_at = now() - interval '9 days' where room_id = $1`,
      [id],
    );
    expect(await meet(id, () => act(id))).toBe(false);
  });
});

describe('the log', () => {
  it('has who did what to whom, when, why and in which call, newest first, in pages', async () => {
    const { id, path, userId, maker, rest, act } = await scene();
    const { body: message } = await rest('POST', `${path}/messages`, { body: 'rude' });
    const mine = await rest('POST', `${path}/messages`, { body: 'my own' });
    await rest('DELETE', `${path}/messages/${mine.body.id}`);
    await mod(
      'POST',
      `${path}/moderation`,
      { action: 'mute', user_id: userId, reason: 'rude' },
      { 'x-request-id': 'call-1' },
    );
    await mod('DELETE', `${path}/messages/${message.id}`);
    await mod('DELETE', `${path}/messages/${message.id}`);
    await maker('PATCH', path, { name: 'Quiet' });
    await act('kick');
    expect(await rest('POST', `${path}/moderation`, { action: 'ban', user_id: 'u_mod' })).toMatchObject(
      FORBIDDEN,
    );

    const { status, body } = await mod('GET', `/city/moderation/log?room_id=${id}`);
    expect(status).toBe(200);
    const acts = (body as unknown[]).map((entry) => expectShape(ModerationAct, entry));
    expect(acts.map(({ action, moderator_id, user_id }) => [action, moderator_id, user_id])).toEqual([
      ['kick', 'u_mod', userId],
      ['update_room', 'u_maker', null],
      ['delete_message', 'u_mod', userId],
      ['mute', 'u_mod', userId],
    ]);
    expect(acts[3]).toMatchObject({ reason: 'rude', request_id: 'call-1', room_id: id });
    expect(acts[2]).toMatchObject({ message_id: message.id });
    const page = await mod('GET', `/city/moderation/log?room_id=${id}&limit=2&before=${acts[1]!.id}`);
    expect(page.body).toEqual(acts.slice(2));
    expect((await mod('GET', '/city/moderation/log?limit=1')).body).toEqual([acts[0]]);
    expect((await mod('GET', `/city/moderation/log?before=mod_city_${'0'.repeat(26)}`)).status).toBe(400);
    expect(await rest('GET', '/city/moderation/log')).toMatchObject(FORBIDDEN);
  });
});
