/**
 * Ordered delivery: this node owes every room that has a subscriber here the room's log, in order, each change once.
 *
 * For each occupied room a cursor says which change was delivered last. News of a commit carries the change: the next
 * number is delivered at once, an old one is dropped, a gap that does not fill by itself is read from the database
 * first. Once a second the cursors are compared with the heads of their rooms, which finds a lost last message. A
 * change that a later one to the same message has replaced exists nowhere any more and is skipped.
 */
import type { RoomCursor } from '../contract/inspect.ts';
import type { Message } from '../contract/messages.ts';
import { broadcastHere } from '../platform/broadcast.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import { onNews, roomChannel } from '../platform/io.ts';
import type { RoomsNamespace, RoomsSocket } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import type { Metrics } from '../platform/metrics.ts';
import { readChanges, readHeads } from './log.repo.ts';
import type { Head } from './log.repo.ts';
import { createRecall } from './recall.ts';

const PAGE = 500;
const EARLY_MAX = 2_000;
/** News of two nodes cross, so that a gap usually fills by itself: one that lasts for so long is read. */
const GAP_MS = 20;
const NEWS_MAX = 64;
const NEWS = 'room-log';
/** Where a cursor stands until its room's head is read: everything waits in `early`. */
const NOWHERE = -1;

type MessageEvent = 'room.message' | 'room.message.updated' | 'room.message.deleted';
type Source = 'local' | 'news' | 'read';

interface Cursor {
  readonly roomId: string;
  /** Resolves once `delivered` is known. */
  ready: Promise<void>;
  /** The change delivered last; every subscriber here has everything up to it. */
  delivered: number;
  /** The newest message delivered. */
  deliveredSeq: number;
  /** The highest change known to exist. */
  wanted: number;
  /** Changes that came before their turn. */
  readonly early: Map<number, Message>;
  catchingUp: Promise<void> | undefined;
  /** Set while a gap has time to fill. */
  gap: NodeJS.Timeout | undefined;
  /** From the first try to catch up until one succeeds: the newest message before it, and those delivered since. */
  behind: { seenSeq: number; delivered: Set<string> } | undefined;
  /** For each join under way what was delivered since it began, for it to splice. */
  readonly joins: Set<Delivery[]>;
}

interface Delivery {
  event: MessageEvent;
  message: Message;
}

interface SequencerDeps {
  db: Db;
  rooms: RoomsNamespace;
  log: Logger;
  metrics: Metrics;
  pollMs?: number;
}

export function createSequencer({ db, rooms, log, metrics, pollMs = 1_000 }: SequencerDeps) {
  const cursors = new Map<string, Cursor>();
  const recall = createRecall(cursors);

  const deliver = (cursor: Cursor, message: Message, source: Source) => {
    const isNew = cursor.behind
      ? message.seq > cursor.behind.seenSeq && !cursor.behind.delivered.has(message.id)
      : message.seq > cursor.deliveredSeq;
    const event = message.deleted_at
      ? 'room.message.deleted'
      : isNew
        ? 'room.message'
        : 'room.message.updated';
    cursor.delivered = message.change_seq;
    cursor.deliveredSeq = Math.max(cursor.deliveredSeq, message.seq);
    cursor.behind?.delivered.add(message.id);
    for (const recent of cursor.joins) recent.push({ event, message });
    metrics.delivered.inc({ source });
    broadcastHere(rooms, roomChannel(cursor.roomId), event, { room_id: cursor.roomId, message });
  };

  const deliverEarly = (cursor: Cursor) => {
    for (;;) {
      const message = cursor.early.get(cursor.delivered + 1);
      if (!message) break;
      deliver(cursor, message, 'news');
    }
    for (const number of cursor.early.keys()) if (number <= cursor.delivered) cursor.early.delete(number);
  };

  const isCurrent = (cursor: Cursor) => cursors.get(cursor.roomId) === cursor;

  /** The log that it stands in has ended, and with it the subscriptions to it. */
  const abandon = (cursor: Cursor) => {
    if (!isCurrent(cursor)) return;
    cursors.delete(cursor.roomId);
    rooms.local.in(roomChannel(cursor.roomId)).socketsLeave(roomChannel(cursor.roomId));
  };

  const readMissing = async (cursor: Cursor) => {
    cursor.behind ??= { seenSeq: cursor.deliveredSeq, delivered: new Set() };
    while (cursor.delivered < cursor.wanted) {
      const slice = await readChanges(db, cursor.roomId, cursor.delivered, PAGE);
      if (!slice) {
        abandon(cursor);
        throw new AppError('not_found', 'There is no such room.');
      }
      // The room was made again, and has another log.
      if (slice.head.first_change_seq > cursor.delivered) return abandon(cursor);
      for (const message of slice.messages) {
        if (message.change_seq > cursor.delivered) deliver(cursor, message, 'read');
      }
      if (slice.messages.length < PAGE) {
        cursor.delivered = Math.max(cursor.delivered, slice.head.last_change_seq);
        cursor.deliveredSeq = Math.max(cursor.deliveredSeq, slice.head.last_seq);
        // News from beyond the head speaks of a log that the database does not have (any more): none of it counts.
        if (slice.messages.length === 0) {
          cursor.wanted = cursor.delivered;
          cursor.early.clear();
        }
      }
      deliverEarly(cursor);
    }
    cursor.behind = undefined;
  };

  /** Resolves when the cursor has reached what was wanted, or is abandoned; one reader a room at a time. */
  const catchUp = (cursor: Cursor): Promise<void> => {
    cursor.catchingUp ??= readMissing(cursor).finally(() => {
      cursor.catchingUp = undefined;
      metrics.catchUps.inc();
    });
    return cursor.catchingUp;
  };

  /** A failed read is the poll's to repeat. */
  const catchUpSoon = (cursor: Cursor) => {
    catchUp(cursor).catch((error: unknown) => {
      log.warn({ err: error, room_id: cursor.roomId }, 'a room could not catch up; trying again');
    });
  };

  const awaitMissing = (cursor: Cursor) => {
    const missing = cursor.delivered + 1;
    cursor.gap ??= setTimeout(() => {
      cursor.gap = undefined;
      if (!isCurrent(cursor)) return;
      if (cursor.delivered < missing) catchUpSoon(cursor);
      else if (cursor.early.size > 0) awaitMissing(cursor);
    }, GAP_MS);
  };

  const accept = (message: Message, source: Source) => {
    const cursor = cursors.get(message.room_id);
    if (!cursor || message.change_seq <= cursor.delivered) return;
    cursor.wanted = Math.max(cursor.wanted, message.change_seq);
    if (cursor.delivered !== NOWHERE && message.change_seq === cursor.delivered + 1) {
      deliver(cursor, message, source);
      if (cursor.early.size > 0) deliverEarly(cursor);
      return;
    }
    if (cursor.early.size >= EARLY_MAX) cursor.early.clear();
    cursor.early.set(message.change_seq, message);
    if (cursor.delivered !== NOWHERE) awaitMissing(cursor);
  };

  const open = (roomId: string): Cursor => {
    const known = cursors.get(roomId);
    if (known) return known;
    const cursor: Cursor = {
      roomId,
      ready: Promise.resolve(),
      delivered: NOWHERE,
      deliveredSeq: NOWHERE,
      wanted: NOWHERE,
      early: new Map(),
      catchingUp: undefined,
      gap: undefined,
      behind: undefined,
      joins: new Set(),
    };
    cursor.ready = readHeads(db, [roomId]).then(
      ([head]) => {
        if (!head) {
          cursors.delete(roomId);
          throw new AppError('not_found', 'There is no such room.');
        }
        cursor.delivered = head.last_change_seq;
        cursor.deliveredSeq = head.last_seq;
        cursor.wanted = Math.max(cursor.wanted, head.last_change_seq);
        deliverEarly(cursor);
      },
      (error: unknown) => {
        cursors.delete(roomId);
        throw error;
      },
    );
    cursors.set(roomId, cursor);
    return cursor;
  };

  const splice = (cursor: Cursor, socket: RoomsSocket, recent: Delivery[], after: number) => {
    for (const { event, message } of recent) {
      if (message.change_seq > after) socket.emit(event, { room_id: cursor.roomId, message });
    }
    void socket.join(roomChannel(cursor.roomId));
  };

  /**
   * Subscribes `socket` to a room with no gap and no repeat: `read` takes a snapshot, `answer` hands it out, and in
   * the same tick what was delivered here since the snapshot follows and the socket joins the live log. A socket that
   * is subscribed already is taken out while the new snapshot is made, and put back where it was if that fails.
   *
   * `recent` is complete from here on, so the snapshot must be: `read` may share its work with other joins, but never
   * hand out a snapshot that was begun before it was called. What was delivered between the beginning of an older read
   * and this call would be in neither of the two (platform/batcher.ts keeps this).
   * Returns false when the socket has gone meanwhile.
   * @throws AppError not_found, unavailable; what `read` throws
   */
  const join = async <S extends { head: Head }>(
    socket: RoomsSocket,
    roomId: string,
    read: () => Promise<S>,
    answer: (snapshot: S) => void,
  ): Promise<boolean> => {
    const cursor = open(roomId);
    const channel = roomChannel(roomId);
    const stoodAt = socket.rooms.has(channel) ? cursor.delivered : undefined;
    const recent: Delivery[] = [];
    cursor.joins.add(recent);
    try {
      if (stoodAt !== undefined) void socket.leave(channel);
      await cursor.ready;
      const snapshot = await read();
      const snapshotAt = snapshot.head.last_change_seq;
      while (cursor.delivered < snapshotAt) {
        cursor.wanted = Math.max(cursor.wanted, snapshotAt);
        await catchUp(cursor);
        if (!isCurrent(cursor)) return await join(socket, roomId, read, answer);
      }
      if (!socket.connected) return false;
      answer(snapshot);
      splice(cursor, socket, recent, snapshotAt);
      return true;
    } catch (error) {
      if (stoodAt !== undefined && socket.connected) splice(cursor, socket, recent, stoodAt);
      throw error;
    } finally {
      cursor.joins.delete(recent);
    }
  };

  const poll = async () => {
    for (const cursor of cursors.values()) {
      const inUse =
        cursor.joins.size > 0 || cursor.catchingUp || rooms.adapter.rooms.has(roomChannel(cursor.roomId));
      if (!inUse) cursors.delete(cursor.roomId);
    }
    if (cursors.size === 0) return;
    for (const head of await readHeads(db, [...cursors.keys()])) {
      const cursor = cursors.get(head.room_id);
      if (!cursor || cursor.delivered === NOWHERE) continue;
      cursor.wanted = Math.max(cursor.wanted, head.last_change_seq);
      if (cursor.delivered < cursor.wanted) catchUpSoon(cursor);
      else if (!cursor.catchingUp) cursor.behind = undefined; // news has filled what a failed try left
    }
  };

  let endPolling: (() => Promise<void>) | undefined;

  return {
    join,
    recall,

    /** Ends a subscription. */
    leave(socket: RoomsSocket, roomId: string): void {
      void socket.leave(roomChannel(roomId));
    },

    /** Where every room stands that has subscribers here. */
    cursors: (): RoomCursor[] =>
      [...cursors.values()]
        .filter(({ delivered }) => delivered !== NOWHERE)
        .map(({ roomId, delivered, deliveredSeq }) => ({
          room_id: roomId,
          subscribers: rooms.adapter.rooms.get(roomChannel(roomId))?.size ?? 0,
          seq: deliveredSeq,
          change_seq: delivered,
        })),

    /** Delivers what this node committed, and tells the other nodes: those first, since news is under way meanwhile. */
    announce(messages: Message[]): void {
      for (let from = 0; from < messages.length; from += NEWS_MAX) {
        rooms.serverSideEmit(NEWS, messages.slice(from, from + NEWS_MAX) as never);
      }
      for (const message of messages) accept(message, 'local');
    },

    start(): void {
      onNews<Message[]>(rooms, NEWS, log, (messages) => {
        for (const message of messages) accept(message, 'news');
      });
      endPolling = startLoop(pollMs, poll, log, 'the heads of the rooms cannot be read');
    },

    async stop(): Promise<void> {
      for (const { gap } of cursors.values()) clearTimeout(gap);
      await endPolling?.();
    },
  };
}
