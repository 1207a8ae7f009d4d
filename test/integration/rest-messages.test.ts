/** REST: sending, editing, deleting and reading messages. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Message, MessagePage } from '../../src/contract/messages.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { createRest } from '../support/rest.ts';
import { expectShape } from '../support/shape.ts';

type Rest = ReturnType<typeof createRest>;

let city: City;
let alice: Rest;
let bob: Rest;
let moderator: Rest;
let admin: Rest;
let service: Rest;
beforeAll(async () => {
  city = await startCity();
  [alice, bob, moderator, admin, service] = await Promise.all([
    city.rest('u_alice', 0, { name: 'Alice' }),
    city.rest('u_bob_0042'),
    city.rest('u_mod', 0, { roles: ['moderator'] }),
    city.rest('u_admin', 0, { roles: ['admin'] }),
    city.rest('svc_agents', 0, { roles: ['service'] }),
  ]);
});
afterAll(() => city.stop());

let rooms = 0;
/** The path of the messages of a new room. */
const newLog = async (): Promise<string> => {
  const slug = `log-${++rooms}`;
  await alice('POST', '/city/rooms', { name: slug, slug });
  return `/city/rooms/${slug}/messages`;
};
const send = async (path: string, body: object, headers = {}, as = alice) => {
  const answer = await as('POST', path, body, headers);
  return { ...answer, message: answer.status < 400 ? expectShape(Message, answer.body) : undefined };
};
const sent = async (path: string, body: object, as = alice): Promise<Message> => {
  const answer = await send(path, body, {}, as);
  expect(answer.status).toBe(201);
  return answer.message!;
};
const refused = async (answer: ReturnType<Rest>) => {
  const { status, body } = await answer;
  return [status, body.code];
};
const pageOf = async (path: string, query = ''): Promise<MessagePage> => {
  const { status, body } = await bob('GET', path + query);
  expect(status).toBe(200);
  return expectShape(MessagePage, body);
};
const INVALID = [400, 'invalid'];

describe('sending', () => {
  it('answers 201 with the message', async () => {
    const path = await newLog();
    const first = await sent(path, { body: 'Привіт, місто 🌆', client_id: 'c-1' });
    expect(first).toMatchObject({
      room_id: `room_city_log-${rooms}`,
      seq: 1,
      change_seq: 1,
      author_user_id: 'u_alice',
      author_agent_id: null,
      username: 'Alice',
      body: 'Привіт, місто 🌆',
      client_id: 'c-1',
      edited_at: null,
      deleted_at: null,
    });
    const second = await sent(path, { body: '  spaces stay  ' }, bob);
    expect(second).toMatchObject({ seq: 2, username: 'User-0042', body: '  spaces stay  ', client_id: null });
    expect(await pageOf(path)).toEqual({ messages: [first, second], has_more: false });
  });

  it('counts code points', async () => {
    const path = await newLog();
    expect((await sent(path, { body: '🌻'.repeat(10_000) })).body).toBe('🌻'.repeat(10_000));
    expect(await refused(bob('POST', path, { body: '🌻'.repeat(10_001) }))).toEqual(INVALID);
    expect(await refused(bob('POST', path, { body: 'x'.repeat(10_001) }))).toEqual(INVALID);
  });

  it('takes characters that only a newer Unicode, or a private font, knows', async () => {
    const path = await newLog();
    for (const body of ['\u{1FAFF}', '\u{1FADF}', '\u{F8FF}', '\u{10FFFD}']) await sent(path, { body });
  });

  it.each([
    {},
    { body: '' },
    { body: ' \r\n\t\u3000\u200b\ufeff' },
    { body: 'a\0' },
    { body: '\ud83c' },
    { body: 'x\udf06' },
    { body: 5 },
    { body: null },
    { body: ['x'] },
    { body: { text: 'x' } },
    { body: 'x', text: 'x' },
    { body: 'x', room_id: 'general' },
    { body: 'x', client_id: '' },
    { body: 'x', client_id: 'a b' },
    { body: 'x', client_id: 'x'.repeat(65) },
    { body: 'x', client_id: 1 },
    { body: 'x', client_id: null },
    { body: 'x', agent_id: 'u_alice' },
    null,
    7,
  ])('refuses %j', async (body) => {
    const answer = await service('POST', '/city/rooms/general/messages', JSON.stringify(body));
    expect([answer.status, answer.body.code]).toEqual(INVALID);
  });

  it('lets a service, and nobody else, write as an agent', async () => {
    const path = await newLog();
    const message = await sent(path, { body: 'beep', agent_id: 'ag_guide' }, service);
    expect(message).toMatchObject({ author_user_id: null, author_agent_id: 'ag_guide' });
    const own = await sent(path, { body: 'as myself' }, service);
    expect(own).toMatchObject({ author_user_id: 'svc_agents', author_agent_id: null });
    for (const rest of [alice, moderator, admin]) {
      expect(await refused(rest('POST', path, { body: 'x', agent_id: 'ag_guide' }))).toEqual([
        403,
        'forbidden',
      ]);
    }
    const [event] = (await bob('GET', '/city/feed?kind=agent_reply')).body;
    expect(event).toMatchObject({ agent_id: 'ag_guide', payload: { message_id: message.id } });
  });

  it('keeps the name that a message was sent under', async () => {
    const path = await newLog();
    const before = await city.rest('u_renamed', 0, { name: 'Before' });
    const message = await sent(path, { body: 'x' }, before);
    const after = await city.rest('u_renamed', 0, { name: 'After' });
    expect((await sent(path, { body: 'y' }, after)).username).toBe('After');
    expect((await pageOf(path)).messages[0]).toEqual(message);
    const nameless = await city.rest('u_renamed');
    expect((await sent(path, { body: 'z' }, nameless)).username).toBe('After');
  });
});

describe('a repeated key', () => {
  it('never makes a second message', async () => {
    const path = await newLog();
    const many = await Promise.all(
      Array.from({ length: 8 }, () => send(path, { body: 'once', client_id: 'k' })),
    );
    expect(many.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
    for (const { message } of many) expect(message).toEqual(many[0]!.message);
    expect((await pageOf(path)).messages).toHaveLength(1);
    // Another author, or another room, is another key.
    expect((await send(path, { body: 'twice', client_id: 'k' }, {}, bob)).status).toBe(201);
    expect((await send(await newLog(), { body: 'else', client_id: 'k' })).status).toBe(201);
  });

  it('is the same thing in the header and in the body', async () => {
    const path = await newLog();
    const first = await send(path, { body: 'x' }, { 'Idempotency-Key': 'h-1' });
    expect([first.status, first.message!.client_id]).toEqual([201, 'h-1']);
    expect((await send(path, { body: 'x', client_id: 'h-1' })).status).toBe(200);
    const both = await send(path, { body: 'x', client_id: 'h-1' }, { 'Idempotency-Key': 'h-1' });
    expect([both.status, both.message]).toEqual([200, first.message]);
    const differ = alice('POST', path, { body: 'x', client_id: 'h-2' }, { 'Idempotency-Key': 'h-1' });
    expect(await refused(differ)).toEqual(INVALID);
    for (const key of ['', 'a b', 'x'.repeat(65), 'a.b']) {
      expect(await refused(alice('POST', path, { body: 'x' }, { 'Idempotency-Key': key }))).toEqual(INVALID);
    }
  });

  it('refuses another body, and answers the present state to the first, also after an edit', async () => {
    const path = await newLog();
    const mismatch = [422, 'idempotency_mismatch'];
    const first = await sent(path, { body: 'first', client_id: 'k' });
    expect(await refused(alice('POST', path, { body: 'other', client_id: 'k' }))).toEqual(mismatch);
    const edited = (await alice('PATCH', `${path}/${first.id}`, { body: 'edited' })).body;
    expect(await refused(alice('POST', path, { body: 'edited', client_id: 'k' }))).toEqual(mismatch);
    expect(await send(path, { body: 'first', client_id: 'k' })).toMatchObject({ status: 200, body: edited });
    const deleted = (await alice('DELETE', `${path}/${first.id}`)).body;
    expect(await send(path, { body: 'first', client_id: 'k' })).toMatchObject({ status: 200, body: deleted });
    expect((await pageOf(path)).messages).toEqual([deleted]);
  });

  it('is shared by REST and sockets', async () => {
    const path = await newLog();
    const socket = await city.socket('/rooms', 'u_alice', 0, { name: 'Alice' });
    const key = { body: 'x', client_id: 'k' };
    const { message } = await socket.call('room.message.send', { room_id: `log-${rooms}`, ...key });
    expect(await send(path, key)).toMatchObject({ status: 200, body: message });
    const again = await socket.call('room.message.send', { room_id: `log-${rooms}`, ...key });
    expect(again).toEqual({ message, duplicate: true });
    socket.close();
  });
});

describe('editing and deleting', () => {
  it('lets the author edit', async () => {
    const path = await newLog();
    const { id, ...first } = await sent(path, { body: 'frist' });
    await sent(path, { body: 'second' });
    const { status, body } = await alice('PATCH', `${path}/${id}`, { body: 'first' });
    expect(status).toBe(200);
    expectShape(Message, body);
    expect(body).toEqual({ ...first, id, body: 'first', change_seq: 3, edited_at: expect.any(String) });
    const [event] = (await bob('GET', '/city/feed?limit=2')).body.slice(1);
    expect(event.payload).toMatchObject({ message_id: id, body: 'first' });
  });

  it('lets nobody else edit, not even a moderator', async () => {
    const path = await newLog();
    const { id } = await sent(path, { body: 'mine' });
    for (const rest of [bob, moderator, admin, service]) {
      expect(await refused(rest('PATCH', `${path}/${id}`, { body: 'x' }))).toEqual([403, 'forbidden']);
    }
    expect(await refused(alice('PATCH', `${path}/${id}`, { body: ' ' }))).toEqual(INVALID);
    expect(await refused(alice('PATCH', `${path}/${id}`, { body: 'x', client_id: 'k' }))).toEqual(INVALID);
    expect(await refused(alice('PATCH', `${path}/${id}`))).toEqual(INVALID);
  });

  it('leaves a tombstone, once', async () => {
    const path = await newLog();
    const { id, ...first } = await sent(path, { body: 'oops', client_id: 'k' });
    const { status, body } = await alice('DELETE', `${path}/${id}`);
    expect(status).toBe(200);
    expectShape(Message, body);
    expect(body).toEqual({ ...first, id, body: '', change_seq: 2, deleted_at: expect.any(String) });
    expect(await alice('DELETE', `${path}/${id}`)).toMatchObject({ status: 200, body });
    expect(await moderator('DELETE', `${path}/${id}`)).toMatchObject({ status: 200, body });
    expect(await refused(alice('PATCH', `${path}/${id}`, { body: 'back' }))).toEqual([409, 'conflict']);
    expect(await pageOf(path)).toEqual({ messages: [body], has_more: false });
    const feed = (await bob('GET', '/city/feed')).body;
    expect(JSON.stringify(feed)).not.toContain(id);
  });

  it('lets moderators and admins delete, and nobody else', async () => {
    const path = await newLog();
    for (const rest of [moderator, admin]) {
      const { id } = await sent(path, { body: 'rude' });
      for (const other of [bob, service]) {
        expect(await refused(other('DELETE', `${path}/${id}`))).toEqual([403, 'forbidden']);
      }
      expect((await rest('DELETE', `${path}/${id}`)).body.body).toBe('');
    }
  });

  it('answers 404 for a message that is not there, or in another room', async () => {
    const [path, other] = [await newLog(), await newLog()];
    const { id } = await sent(path, { body: 'x' });
    for (const missing of [`${other}/${id}`, `${path}/m_city_${'0'.repeat(26)}`, `${path}/nonsense`]) {
      expect(await refused(alice('PATCH', missing, { body: 'y' }))).toEqual([404, 'not_found']);
      expect(await refused(alice('DELETE', missing))).toEqual([404, 'not_found']);
    }
  });
});

describe('history', () => {
  it('pages by seq in both directions, and by change number', async () => {
    const path = await newLog();
    const all: Message[] = [];
    for (let n = 1; n <= 12; n++) all.push(await sent(path, { body: `${n}` }));
    const seqs = async (query: string) => {
      const { messages, has_more } = await pageOf(path, query);
      return [messages.map(({ seq }) => seq), has_more];
    };
    expect(await seqs('')).toEqual([all.map(({ seq }) => seq), false]);
    expect(await seqs('?limit=5')).toEqual([[8, 9, 10, 11, 12], true]);
    expect(await seqs('?limit=5&before_seq=8')).toEqual([[3, 4, 5, 6, 7], true]);
    expect(await seqs('?limit=5&before_seq=6')).toEqual([[1, 2, 3, 4, 5], false]);
    expect(await seqs('?before_seq=1')).toEqual([[], false]);
    expect(await seqs('?before_seq=0')).toEqual([[], false]);
    expect(await seqs('?before_seq=9007199254740991&limit=1')).toEqual([[12], true]);
    expect(await seqs('?after_seq=0&limit=3')).toEqual([[1, 2, 3], true]);
    expect(await seqs('?after_seq=9&limit=3')).toEqual([[10, 11, 12], false]);
    expect(await seqs('?after_seq=12')).toEqual([[], false]);

    await alice('PATCH', `${path}/${all[1]!.id}`, { body: 'edited' });
    await alice('DELETE', `${path}/${all[0]!.id}`);
    expect(await seqs('?since=0&limit=200')).toEqual([[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 2, 1], false]);
    expect(await seqs('?since=11&limit=2')).toEqual([[12, 2], true]);
    expect(await seqs('?since=13')).toEqual([[1], false]);
    expect(await seqs('?since=14')).toEqual([[], false]);
  });

  it.each([
    'before_seq=5&after_seq=1',
    'before_seq=5&since=1',
    'after_seq=5&since=1',
    'limit=0',
    'limit=201',
    'limit=x',
    'limit=',
    'before_seq=-1',
    'after_seq=1.5',
    'since=x',
    'since=99999999999999999999',
    'before_seq=1&before_seq=2',
    'offset=1',
  ])('refuses ?%s', async (query) => {
    expect(await refused(alice('GET', `/city/rooms/general/messages?${query}`))).toEqual(INVALID);
  });
});
