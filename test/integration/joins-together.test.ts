/** Many who join at once share their reads, and each gets what joining alone would have got. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const ROOM = 'room_city_general';
const JOINERS = 40;

let city: City;
const sockets: TestSocket[] = [];
beforeAll(async () => {
  city = await startCity();
});
afterAll(async () => {
  for (const socket of sockets) socket.close();
  await city.stop();
});

const come = async (userId: string) => {
  const socket = await city.socket('/rooms', userId);
  sockets.push(socket);
  return socket;
};

interface Log {
  changes: number[];
  /** The number that live events go on from. */
  at: number;
}

/** Joins and collects the changes that are handed out from then on, in the order in which they come. */
function followFrom(socket: TestSocket, since: number | undefined): Promise<Log> {
  return new Promise((resolve, reject) => {
    const payload = since === undefined ? { room_id: ROOM } : { room_id: ROOM, since };
    socket.raw.emit('room.join', payload, (answer: { ok: boolean; data: unknown; error?: unknown }) => {
      if (!answer.ok) return reject(new Error(JSON.stringify(answer.error)));
      const { room, messages } = answer.data as {
        room: { last_change_seq: number };
        messages: { change_seq: number }[];
      };
      const log: Log = { changes: messages.map(({ change_seq }) => change_seq), at: room.last_change_seq };
      socket.raw.on('room.message', ({ message }) => log.changes.push(message.change_seq));
      resolve(log);
    });
  });
}
const upTo = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + 1 + i);

it('leaves no gap and repeats nothing while the room is talking', async () => {
  const [talker, ...joiners] = await Promise.all(
    ['u_talker', ...Array.from({ length: JOINERS }, (_, n) => `u_joiner_${n}`)].map(come),
  );
  const started = (await talker!.call('room.join', { room_id: ROOM })).room.last_change_seq as number;
  let talking = true;
  let last = started;
  const talk = (async () => {
    while (talking) {
      const sent = ['a', 'b', 'c'].map((body) => talker!.call('room.message.send', { room_id: ROOM, body }));
      for (const { message } of await Promise.all(sent)) last = Math.max(last, message.change_seq);
    }
  })();

  try {
    // Everybody joins over and over, one turn of the event loop apart, so that joins meet reads at every stage.
    for (let round = 0; round < 3; round++) {
      const acknowledged = last;
      const logs = await Promise.all(
        joiners.map(async (socket, n) => {
          for (let turns = 0; turns < n; turns++) await new Promise((resolve) => setImmediate(resolve));
          const asked = last;
          const log = await followFrom(socket, started);
          // What was acknowledged before the join is in its answer, as when it reads alone.
          expect(log.at).toBeGreaterThanOrEqual(asked);
          return log;
        }),
      );
      await until(() => last > acknowledged, 'more is said');
      const reach = last;
      await until(() => logs.every(({ changes }) => (changes.at(-1) ?? 0) >= reach), 'all that was said');
      for (const { changes } of logs) expect(changes).toEqual(upTo(started, changes.at(-1)!));
      for (const socket of joiners) {
        socket.raw.off('room.message');
        await socket.call('room.leave', { room_id: ROOM });
      }
    }
  } finally {
    talking = false;
    await talk;
  }
});

it('tells each caller what is unread by them, and makes each of them a member', async () => {
  const users = Array.from({ length: 8 }, (_, n) => `u_reader_${n}`);
  const readers = await Promise.all(users.map(come));
  const rest = await city.rest('u_reader_0');
  for (const body of users) await rest('POST', `/city/rooms/${ROOM}/messages`, { body });
  const { last_seq } = (await rest('GET', `/city/rooms/${ROOM}`)).body.room as { last_seq: number };
  for (const [n, reader] of readers.entries()) {
    await reader.call('room.read', { room_id: ROOM, seq: last_seq - n });
  }
  const answers = await Promise.all(readers.map((reader) => reader.call('room.join', { room_id: ROOM })));
  expect(answers.map(({ room }) => [room.joined, room.unread])).toEqual(users.map((_, n) => [true, n]));
  const { members } = (await rest('GET', `/city/rooms/${ROOM}/members?limit=200`)).body;
  expect(members.map((member: { user_id: string }) => member.user_id)).toEqual(expect.arrayContaining(users));
});

it('refuses a room that does not exist to everybody who asked for it', async () => {
  const answers = await Promise.all(
    sockets.map((socket) => socket.ack('room.join', { room_id: 'room_city_nowhere' })),
  );
  expect(new Set(answers.map(({ error }) => error.code))).toEqual(new Set(['not_found']));
});
