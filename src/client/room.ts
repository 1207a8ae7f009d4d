/** One room as this client has it: its log, its people, what is on its way to it, and the reader's mark in it. */
import type { Message } from '../contract/messages.ts';
import type { Room } from '../contract/rooms.ts';
import type { Connection } from './connection.ts';
import { createMessageWindow } from './message-window.ts';
import type { Names } from './names.ts';
import { createOutbox } from './outbox.ts';
import type { PresenceTracker } from './presence.ts';
import { createReadMark } from './read-mark.ts';
import type { Rest } from './rest.ts';
import { createRoomPeople } from './room-people.ts';
import { initialRoom } from './room-state.ts';
import { createRoomSync } from './room-sync.ts';
import { createValue } from './store.ts';
import { createTyping } from './typing.ts';
import type { Me, RoomState, Store } from './types.ts';

export interface RoomDeps {
  connection: Connection;
  rest: Rest;
  names: Names;
  me: Store<Me | null>;
  presence: PresenceTracker;
  messagesKept: number;
  /** Hears the room's numbers as they change here. */
  onRoom: (id: string, part: Partial<Room>) => void;
  /** Nothing is on its way any more. */
  onIdle: () => void;
}

export type RoomCore = ReturnType<typeof createRoom>;

export function createRoom(roomId: string, deps: RoomDeps) {
  const { connection, rest, names, me, presence, messagesKept, onRoom, onIdle } = deps;
  const state = createValue<RoomState>(initialRoom(roomId));
  /** Of the newest message that is known. */
  let lastSeq = 0;
  let unwatch: (() => void) | null = null;

  const people = createRoomPeople({ roomId, connection, rest, names, me, state, onRoom });
  const readMark = createReadMark({ roomId, connection, onChange: tellNumbers });
  const typing = createTyping((is) => {
    // Volatile: a word that is lost is said again, or expires.
    if (connection.isLive()) connection.ask('room.typing', { room_id: roomId, typing: is }).catch(() => {});
  });
  const list = createMessageWindow({
    roomId,
    rest,
    state,
    kept: messagesKept,
    onLoaded: names.fromMessages,
  });
  const outbox = createOutbox({
    roomId,
    connection,
    onChange(outgoing) {
      state.patch({ outgoing });
      if (outgoing.length === 0) onIdle();
    },
    onSent: (message) => sync.take(message) !== 'later',
  });
  const sync = createRoomSync({
    roomId,
    connection,
    rest,
    state,
    onBegin(room, messages) {
      list.begin(messages, room.last_seq);
      lastSeq = room.last_seq;
      state.patch({ firstUnreadSeq: room.unread > 0 ? room.last_seq - room.unread + 1 : null });
    },
    onLive(room, missed, membersOnline) {
      onRoom(roomId, { ...room, joined: true });
      people.arrive(membersOnline);
      readMark.known(room.last_seq - room.unread);
      absorb(missed);
      // What was stored before a first page is not in it, and no event shows it either.
      outbox.forgetSent();
      tellNumbers();
      unwatch ??= presence.watch({ room_ids: [roomId] });
    },
    onChange(message) {
      people.quiet([message.author_user_id]);
      absorb([message]);
    },
    onInterrupted() {
      typing.forget();
      state.patch({ typing: [] });
    },
    onClosed(reason) {
      stopWatching();
      if (reason !== 'kicked') onRoom(roomId, { joined: false });
    },
  });

  function stopWatching(): void {
    unwatch?.();
    unwatch = null;
  }

  function tellNumbers(): void {
    const unread = Math.max(0, lastSeq - readMark.seq());
    state.patch({ unread });
    if (state.getSnapshot().room) onRoom(roomId, { unread, last_seq: lastSeq });
  }

  /** Takes in messages before which there is no gap. */
  function absorb(messages: readonly Message[]): void {
    if (messages.length === 0) return;
    names.fromMessages(messages);
    list.put(messages);
    outbox.seen(messages);
    const mine = me.getSnapshot()?.user_id;
    for (const { seq, author_user_id, created_at } of messages) {
      if (seq <= lastSeq) continue;
      lastSeq = seq;
      onRoom(roomId, { last_event: created_at });
      if (author_user_id === mine) readMark.known(seq);
    }
    tellNumbers();
  }

  return {
    state: state as Store<RoomState>,
    outbox,
    readMark,
    typing,
    list,
    lastSeq: () => lastSeq,
    open: sync.open,
    /** Takes in what its creator may change of a room. */
    describe({ name, description, slow_mode_s }: Room): void {
      const { room } = state.getSnapshot();
      const was = room && [room.name, room.description, room.slow_mode_s];
      if (!room || String(was) === String([name, description, slow_mode_s])) return;
      state.patch({ room: { ...room, name, description, slow_mode_s } });
    },
    /** Shows the new state of a message that a call of ours was answered with. */
    show(message: Message): void {
      if (sync.take(message) === 'later') list.update(message);
    },
    /** Ends the subscription; what is on its way goes on. */
    leave(): void {
      typing.stop();
      sync.leave();
      stopWatching();
      outbox.forgetSent();
    },
    close(): void {
      sync.close();
      typing.forget();
      people.close();
      readMark.close();
      outbox.close();
    },
  };
}
