/** What a node recalls of a room is what a read of the log would have said, or nothing. */
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import type { Message } from '../../src/contract/messages.ts';
import { createRecall } from '../../src/room-log/recall.ts';

const ROOM = 'room_city_general';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A room's log, and a node's cursor in it. */
function createRoom() {
  const log: Message[] = [];
  const cursor = { delivered: 0, deliveredSeq: 0, joins: new Set<{ message: Message }[]>() };
  const head = () => ({ room_id: ROOM, last_seq: seqs(), last_change_seq: log.length, first_change_seq: 0 });
  const seqs = () => Math.max(0, ...log.map(({ seq }) => seq));
  /** The latest state of each message, of the changes after `since` up to `upto`. */
  const read = (since: number, upto = log.length) => {
    const latest = new Map<string, Message>();
    for (const message of log.slice(0, upto)) latest.set(message.id, message);
    return [...latest.values()]
      .filter(({ change_seq }) => change_seq > since)
      .sort((a, b) => a.change_seq - b.change_seq);
  };
  return {
    cursor,
    head,
    read,
    change(id: number) {
      const seq = log.find((message) => message.id === `m_${id}`)?.seq ?? seqs() + 1;
      log.push({ id: `m_${id}`, seq, change_seq: log.length + 1 } as Message);
    },
    /** Delivers the next change, or all that is missing at once, each message in its latest state. */
    deliver(all: boolean) {
      const next = all ? read(cursor.delivered) : log.slice(cursor.delivered, cursor.delivered + 1);
      for (const message of next) {
        cursor.delivered = message.change_seq;
        cursor.deliveredSeq = Math.max(cursor.deliveredSeq, message.seq);
        for (const list of cursor.joins) list.push({ message });
      }
    },
  };
}

const step = fc.oneof(
  fc.record({ act: fc.constant('change' as const), id: fc.nat(6) }),
  fc.record({ act: fc.constant('deliver' as const), all: fc.boolean() }),
  fc.record({ act: fc.constant('read' as const), since: fc.nat(12) }),
  fc.record({ act: fc.constant('keep' as const) }),
  fc.record({ act: fc.constant('recall' as const), since: fc.nat(12), behind: fc.nat(4) }),
);

it('answers as a read of all that is delivered would have, and not less than the head that was asked for', () => {
  let recalled = 0;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const room = createRoom();
      const recall = createRecall(new Map([[ROOM, room.cursor]]));
      let slice = { since: 0, head: room.head(), messages: room.read(0) };
      for (const given of steps) {
        if (given.act === 'change') room.change(given.id);
        else if (given.act === 'deliver') room.deliver(given.all);
        else if (given.act === 'read') {
          slice = { since: given.since, head: room.head(), messages: room.read(given.since) };
        } else if (given.act === 'keep') recall.keep(ROOM, slice.since, slice);
        else {
          const head = Math.max(0, room.head().last_change_seq - given.behind);
          const found = recall.recall(ROOM, given.since, head);
          if (!found) continue;
          recalled += 1;
          const { delivered, deliveredSeq } = room.cursor;
          expect(delivered).toBeGreaterThanOrEqual(head);
          expect(found.head).toMatchObject({
            room_id: ROOM,
            last_seq: deliveredSeq,
            last_change_seq: delivered,
          });
          expect(found.messages).toEqual(room.read(given.since, delivered));
        }
      }
    }),
    { numRuns: 2_000 },
  );
  expect(recalled).toBeGreaterThan(100);
});

it('knows nothing from before what was read', () => {
  const room = createRoom();
  const recall = createRecall(new Map([[ROOM, room.cursor]]));
  for (const id of [1, 2, 3]) room.change(id);
  room.deliver(true);
  recall.keep(ROOM, 1, { head: room.head(), messages: room.read(1) });
  expect(recall.recall(ROOM, 0, 3)).toBeUndefined();
  expect(recall.recall(ROOM, 2, 3)?.messages.map(({ change_seq }) => change_seq)).toEqual([3]);
  expect(recall.recall(ROOM, 1, 3)?.messages.map(({ change_seq }) => change_seq)).toEqual([2, 3]);
});

it('forgets after some seconds, and with the cursor', () => {
  const room = createRoom();
  const cursors = new Map([[ROOM, room.cursor]]);
  const recall = createRecall(cursors);
  room.change(1);
  room.deliver(false);
  const keep = () => recall.keep(ROOM, 0, { head: room.head(), messages: room.read(0) });
  keep();
  expect(recall.covers(ROOM, 0)).toBe(true);
  jest.advanceTimersByTime(10_000);
  expect(recall.covers(ROOM, 0)).toBe(false);
  expect(room.cursor.joins.size).toBe(0);
  keep();
  cursors.set(ROOM, createRoom().cursor);
  expect(recall.covers(ROOM, 0)).toBe(false);
  expect(room.cursor.joins.size).toBe(0);
});
