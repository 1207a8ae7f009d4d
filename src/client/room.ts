/**
 * One room as this client has it: joined, followed live, and resumed after every interruption.
 *
 * `cursor` is the heart of it: every change up to that number is here. Live changes move it; what comes while the room
 * is being joined or caught up with waits in `held` until the gap before it is closed.
 */
import type { Message } from '../contract/messages.ts';
import type { Room } from '../contract/rooms.ts';
import type { Connection } from './connection.ts';
import { asCityError } from './errors.ts';
import { highestChange } from './message-log.ts';
import { createMessageWindow } from './message-window.ts';
import type { Names } from './names.ts';
import { createOutbox } from './outbox.ts';
import type { PresenceTracker } from './presence.ts';
import { createReadMark } from './read-mark.ts';
import type { Rest } from './rest.ts';
import { createRoomPeople } from './room-people.ts';
import { initialRoom } from './room-state.ts';
import { createValue } from './store.ts';
import { createTyping } from './typing.ts';
import type { Me, RoomState, Store } from './types.ts';
import { waitFor } from './wait.ts';

const CATCH_UP_PAGE = 200;
/** Past so many missed changes the newest page is a better start than reading them all. */
const CATCH_UP_MAX = 5_000;
const PAUSE_MS = 2_000;

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
  let cursor: number | null = null;
  /** Live changes that wait for the gap before them; null while there is no gap. */
  let held: Message[] | null = [];
  /** Pages of a gap that is not closed yet. */
  let gathered: Message[] = [];
  let lastSeq = 0;
  /** Whether somebody has the room open here. */
  let isOpen = false;
  /** Ends what belongs to an earlier opening or connection. */
  let turn = new AbortController();
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
    onSent: show,
  });

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

  function onMessage({ room_id, message }: { room_id: string; message: Message }): void {
    if (room_id !== roomId || !isOpen) return;
    if (held) return void held.push(message);
    cursor = Math.max(cursor ?? 0, message.change_seq);
    people.quiet([message.author_user_id]);
    absorb([message]);
  }

  /** Takes in the answer to a call of ours; false when it will be shown later, after what comes before it. */
  function show(message: Message): boolean {
    const { status } = state.getSnapshot();
    if (!isOpen || status === 'closed' || status === 'error') return true;
    if (cursor !== null && message.change_seq <= cursor) return true;
    if (!held && message.change_seq === (cursor ?? 0) + 1) {
      onMessage({ room_id: roomId, message });
      return true;
    }
    list.update(message);
    return false;
  }

  async function join(): Promise<void> {
    turn.abort();
    const mine = (turn = new AbortController()).signal;
    const since = cursor;
    held = [];
    state.patch({ status: since === null ? 'joining' : 'catching_up', closed: null });
    try {
      const answer = await connection.ask('room.join', {
        room_id: roomId,
        ...(since === null ? {} : { since }),
      });
      if (mine.aborted) return;
      const { room, messages } = answer;
      if (since === null) {
        list.begin(messages, room.last_seq);
        lastSeq = room.last_seq;
        state.patch({ firstUnreadSeq: room.unread > 0 ? room.last_seq - room.unread + 1 : null });
      } else if (isAnotherStory(room, since)) {
        cursor = null;
        gathered = [];
        return void join();
      }
      gathered.push(...messages);
      if (since !== null && answer.has_more) await catchUp(highestChange(messages, since), mine);
      if (!mine.aborted) goLive(room, answer.members_online);
    } catch (error) {
      if (!mine.aborted) await onRefused(error, mine);
    }
  }

  /** Whether the list is of no use any more: the room was made anew under its name, or too much happened in it. */
  function isAnotherStory(room: Room, since: number): boolean {
    const known = state.getSnapshot().room;
    const remade = room.created_at !== known?.created_at || room.last_change_seq < since;
    return remade || room.last_change_seq - since > CATCH_UP_MAX;
  }

  async function catchUp(from: number, mine: AbortSignal): Promise<void> {
    cursor = from;
    for (let more = true; more;) {
      const page = await rest.listMessages({ room_id: roomId, since: cursor, limit: CATCH_UP_PAGE });
      if (mine.aborted) return;
      gathered.push(...page.messages);
      cursor = highestChange(page.messages, cursor);
      more = page.has_more && page.messages.length > 0;
    }
  }

  function goLive(room: Room, membersOnline: number): void {
    const waiting = [...gathered, ...(held ?? [])];
    cursor = highestChange(waiting, Math.max(cursor ?? 0, room.last_change_seq));
    gathered = [];
    held = null;
    state.patch({ room, status: 'live', error: null });
    onRoom(roomId, { ...room, joined: true });
    people.arrive(membersOnline);
    readMark.known(room.last_seq - room.unread);
    absorb(waiting);
    // What was stored before a first page is not in it, and no event shows it either.
    outbox.forgetSent();
    tellNumbers();
    unwatch ??= presence.watch({ room_ids: [roomId] });
  }

  async function onRefused(cause: unknown, mine: AbortSignal): Promise<void> {
    const error = asCityError(cause);
    if (!error.retryable) return state.patch({ status: 'error', error });
    if (!connection.isLive()) return; // the next connection joins
    state.patch({ error });
    await waitFor(error.retryAfterMs ?? PAUSE_MS, mine);
    if (!mine.aborted && connection.isLive()) void join();
  }

  /** Nothing live comes until the room is joined again. */
  function interrupt(): void {
    turn.abort();
    held = [];
    typing.forget();
    state.patch({ typing: [] });
  }

  const isJoinable = () => isOpen && !['closed', 'error'].includes(state.getSnapshot().status);
  const offs = [
    connection.onConnect('/rooms', () => isJoinable() && void join()),
    connection.onDisconnect('/rooms', () => {
      interrupt();
      if (isJoinable() && cursor !== null) state.patch({ status: 'catching_up' });
    }),
    connection.on('room.message', onMessage),
    connection.on('room.message.updated', onMessage),
    connection.on('room.message.deleted', onMessage),
    connection.on('room.closed', ({ room_id, reason }) => {
      if (room_id !== roomId || !isOpen) return;
      interrupt();
      unwatch?.();
      unwatch = null;
      state.patch({ status: 'closed', closed: reason });
      if (reason !== 'kicked') onRoom(roomId, { joined: false });
    }),
  ];

  return {
    state: state as Store<RoomState>,
    outbox,
    readMark,
    typing,
    list,
    show,
    lastSeq: () => lastSeq,
    /** Opens the room, or opens it again after it was closed or refused. */
    open(): void {
      const again = isOpen && isJoinable();
      isOpen = true;
      if (again) return;
      state.patch({ status: 'joining', error: null });
      if (connection.isLive()) void join();
    },
    /** Ends the subscription; what is on its way goes on. */
    leave(): void {
      typing.stop();
      if (connection.isLive()) connection.ask('room.leave', { room_id: roomId }).catch(() => {});
      isOpen = false;
      interrupt();
      unwatch?.();
      unwatch = null;
      outbox.forgetSent();
    },
    close(): void {
      isOpen = false;
      interrupt();
      for (const off of offs) off();
      people.close();
      readMark.close();
      outbox.close();
    },
  };
}
