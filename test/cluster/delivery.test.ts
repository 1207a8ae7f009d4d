/** The promise of the project on three nodes: every change to every subscriber once, in order, whatever they join. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Message } from '../../src/contract/messages.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const ROOM = 'room_city_general';
const CHANGES = ['room.message', 'room.message.updated', 'room.message.deleted'];

const changesOf = (socket: TestSocket): Message[] =>
  socket.events.filter(({ name }) => CHANGES.includes(name)).map(({ payload }) => payload.message);
const numbersOf = (socket: TestSocket) => changesOf(socket).map(({ change_seq }) => change_seq);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** Every number `from`…`to` once and in order; one may be missing only if a later change replaced it. */
function expectGapless(changes: Message[], from: number, to: number, ledger: Map<number, string>): void {
  const numbers = changes.map(({ change_seq }) => change_seq);
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
  const missing = range(from, to).filter((number) => !numbers.includes(number));
  const lost = missing.filter((number) => {
    return !changes.some(({ id, change_seq }) => id === ledger.get(number) && change_seq > number);
  });
  expect({ lost, outside: numbers.filter((number) => number < from || number > to) }).toEqual({
    lost: [],
    outside: [],
  });
}

describe('three nodes', () => {
  let city: City;
  beforeAll(async () => {
    city = await startCity({ nodes: [{}, {}, {}] });
  });
  afterAll(() => city.stop());

  it('delivers 2,000 messages of 30 clients to every client, once each and in order', async () => {
    const clients = await Promise.all(
      Array.from({ length: 30 }, (_, index) => city.socket('/rooms', `u_client${index}`, index % 3)),
    );
    const joins = await Promise.all(clients.map((client) => client.call('room.join', { room_id: ROOM })));
    const from = joins[0].room.last_change_seq;
    expect(joins.map(({ room }) => room.last_change_seq)).toEqual(joins.map(() => from));

    const acks = await Promise.all(
      clients.map(async (client, index) => {
        const mine: Message[] = [];
        for (let n = index; n < 2_000; n += clients.length) {
          const data = await client.call('room.message.send', {
            room_id: ROOM,
            body: `${n}`,
            client_id: `n-${n}`,
          });
          mine.push(data.message);
        }
        return mine;
      }),
    );

    const expected = range(from + 1, from + 2_000);
    for (const client of clients) {
      await until(() => changesOf(client).length >= 2_000, 'all messages');
      expect(numbersOf(client)).toEqual(expected);
    }
    const seen = new Map(changesOf(clients[0]!).map((message) => [message.id, message]));
    for (const mine of acks) {
      expect(mine.map(({ seq }) => seq)).toEqual(mine.map(({ seq }) => seq).sort((a, b) => a - b));
      for (const message of mine) expect(seen.get(message.id)).toEqual(message);
    }
    for (const client of clients) client.close();
  });

  it('splices a join into a busy log with no gap and no repeat', async () => {
    const writers = await Promise.all(['u_w0', 'u_w1', 'u_w2'].map((user, node) => city.rest(user, node)));
    /** Which message each change number belongs to. */
    const ledger = new Map<number, string>();
    let writing = true;
    const load = Promise.all(
      writers.map(async (rest) => {
        const write = async (method: string, path: string, body?: object): Promise<Message> => {
          const { body: message } = await rest(method, `/city/rooms/${ROOM}/messages${path}`, body);
          ledger.set(message.change_seq, message.id);
          return message;
        };
        while (writing) {
          const { id, seq } = await write('POST', '', { body: 'load' });
          if (seq % 5 === 0) await write('PATCH', `/${id}`, { body: 'edited' });
          if (seq % 7 === 0) await write('DELETE', `/${id}`);
        }
      }),
    );
    const readers: { socket: TestSocket; from: number }[] = [];
    for (let n = 0; n < 24; n++) {
      const socket = await city.socket('/rooms', `u_reader${n}`, n % 3);
      const { room } = await socket.call('room.join', { room_id: ROOM });
      // Nothing of the room comes before the answer.
      readers.push({ socket, from: room.last_change_seq });
    }
    // Joining again: a new snapshot, nothing live repeated.
    const again = await Promise.all(
      readers.map(async ({ socket, from }) => {
        const { room } = await socket.call('room.join', { room_id: ROOM, since: from });
        return room.last_change_seq as number;
      }),
    );
    writing = false;
    await load;
    const { body } = await writers[0]!('POST', `/city/rooms/${ROOM}/messages`, { body: 'barrier' });
    for (const [index, { socket, from }] of readers.entries()) {
      await until(() => numbersOf(socket).includes(body.change_seq), 'the barrier');
      const changes = changesOf(socket);
      const before = changes.filter(({ change_seq }) => change_seq <= again[index]!);
      const after = changes.filter(({ change_seq }) => change_seq > again[index]!);
      expectGapless(before, from + 1, before.at(-1)?.change_seq ?? from, ledger);
      expectGapless(after, again[index]! + 1, body.change_seq, ledger);
      socket.close();
    }
  });

  it('resumes on another node with exactly what was missed, each message in its latest state', async () => {
    const rest = await city.rest('u_author', 1);
    const path = `/city/rooms/${ROOM}/messages`;
    const kept = (await rest('POST', path, { body: 'before' })).body as Message;
    const first = await city.socket('/rooms', 'u_traveller', 0);
    const { room } = await first.call('room.join', { room_id: ROOM });
    first.close();

    const edited = (await rest('PATCH', `${path}/${kept.id}`, { body: 'after' })).body as Message;
    const sent = (await rest('POST', path, { body: 'missed' })).body as Message;
    const doomed = (await rest('POST', path, { body: 'doomed' })).body as Message;
    const deleted = (await rest('DELETE', `${path}/${doomed.id}`)).body as Message;

    const second = await city.socket('/rooms', 'u_traveller', 2);
    const resumed = await second.call('room.join', { room_id: ROOM, since: room.last_change_seq });
    expect(resumed.messages).toEqual([edited, sent, deleted]);
    expect(resumed.has_more).toBe(false);
    expect(resumed.room.last_change_seq).toBe(deleted.change_seq);
    second.close();
  });

  it('pages what is more than 1,000 changes behind', async () => {
    const rest = await city.rest('u_prolific', 0);
    const created = await rest('POST', '/city/rooms', { name: 'Archive' });
    const room_id = created.body.id as string;
    const writer = await city.socket('/rooms', 'u_prolific', 0);
    await Promise.all(
      range(1, 1_250).map((n) => writer.call('room.message.send', { room_id, body: `${n}` })),
    );

    const { messages, has_more } = await writer.call('room.join', { room_id, since: 0 });
    expect([messages.length, has_more]).toEqual([1_000, true]);
    const numbers = messages.map(({ change_seq }: Message) => change_seq);
    for (let more = has_more; more;) {
      const { body } = await rest('GET', `/city/rooms/${room_id}/messages?since=${numbers.at(-1)}&limit=200`);
      numbers.push(...body.messages.map(({ change_seq }: Message) => change_seq));
      more = body.has_more;
    }
    expect(numbers).toEqual(range(1, 1_250));
    writer.close();
  });

  it('finds a message whose announcement was lost, also the last one', async () => {
    const reader = await city.socket('/rooms', 'u_lonely', 1);
    const { room } = await reader.call('room.join', { room_id: ROOM });
    // A commit that no node announces: written past the log, as if the announcing node had died after COMMIT.
    const { appendBatch } = await import('../../src/room-log/log.repo.ts');
    const { createDb } = await import('../../src/platform/db.ts');
    const { createLogger } = await import('../../src/platform/logger.ts');
    const db = createDb(city.database.url, createLogger('silent'), 1);
    const creation = {
      id: `m_city_${'0'.repeat(24)}ZZ`,
      room_id: ROOM,
      sender_id: 'u_ghost',
      author_user_id: 'u_ghost',
      author_agent_id: null,
      username: 'Ghost',
      body: 'unannounced',
      client_id: null,
    };
    await appendBatch(db, [creation], []);
    await db.destroy();
    const { message } = await reader.next('room.message');
    expect(message).toMatchObject({ body: 'unannounced', change_seq: room.last_change_seq + 1 });
    reader.close();
  });
});
