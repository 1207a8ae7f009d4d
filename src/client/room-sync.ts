/**
 * The log of one room, followed: joined, kept up with, and resumed after every interruption.
 *
 * `cursor` is the heart of it: every change up to that number has been handed out. Live changes move it; what comes
 * while the room is being joined or caught up with waits in `held` until the gap before it is closed.
 */
import type { Message } from '../contract/messages.ts';
import type { Room } from '../contract/rooms.ts';
import type { Connection } from './connection.ts';
import { asCityError } from './errors.ts';
import { highestChange } from './message-log.ts';
import type { Rest } from './rest.ts';
import type { Value } from './store.ts';
import type { RoomState } from './types.ts';
import { waitFor } from './wait.ts';

const CATCH_UP_PAGE = 200;
/** Past so many missed changes the newest page is a better start than reading them all. */
const CATCH_UP_MAX = 5_000;
const PAUSE_MS = 2_000;

interface SyncDeps {
  roomId: string;
  connection: Connection;
  rest: Rest;
  state: Value<RoomState>;
  /** Starts with the newest page; what was there before is of no use any more. */
  onBegin: (room: Room, messages: readonly Message[]) => void;
  /** The room is live, and `missed` is what happened since it last was. */
  onLive: (room: Room, missed: readonly Message[], membersOnline: number) => void;
  onChange: (message: Message) => void;
  /** Nothing live comes until the room is joined again. */
  onInterrupted: () => void;
  onClosed: (reason: NonNullable<RoomState['closed']>) => void;
}

export function createRoomSync(deps: SyncDeps) {
  const { roomId, connection, rest, state, onBegin, onLive, onChange, onInterrupted, onClosed } = deps;
  let cursor: number | null = null;
  /** Live changes that wait for the gap before them; null while there is no gap. */
  let held: Message[] | null = [];
  /** Pages of a gap that is not closed yet. */
  let gathered: Message[] = [];
  /** Whether somebody has the room open here. */
  let isOpen = false;
  /** Ends what belongs to an earlier opening or connection. */
  let turn = new AbortController();

  const isFollowed = () => isOpen && !['closed', 'error'].includes(state.getSnapshot().status);

  function take(message: Message): void {
    if (!isOpen) return;
    if (held) return void held.push(message);
    cursor = Math.max(cursor ?? 0, message.change_seq);
    onChange(message);
  }
  const onMessage = (event: { room_id: string; message: Message }) => {
    if (event.room_id === roomId) take(event.message);
  };

  async function join(): Promise<void> {
    turn.abort();
    const mine = (turn = new AbortController()).signal;
    const since = cursor;
    held = [];
    state.patch({ status: since === null ? 'joining' : 'catching_up', closed: null });
    try {
      const payload = since === null ? { room_id: roomId } : { room_id: roomId, since };
      const { room, messages, has_more, members_online } = await connection.ask('room.join', payload);
      if (mine.aborted) return;
      if (since !== null && isAnotherStory(room, since)) {
        cursor = null;
        gathered = [];
        return void join();
      }
      if (since === null) onBegin(room, messages);
      gathered.push(...messages);
      if (since !== null && has_more) await catchUp(highestChange(messages, since), mine);
      if (mine.aborted) return;
      const missed = [...gathered, ...held];
      cursor = highestChange(missed, Math.max(cursor ?? 0, room.last_change_seq));
      gathered = [];
      held = null;
      state.patch({ room, status: 'live', error: null });
      onLive(room, missed, members_online);
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

  async function onRefused(cause: unknown, mine: AbortSignal): Promise<void> {
    const error = asCityError(cause);
    if (!error.retryable) return state.patch({ status: 'error', error });
    if (!connection.isLive()) return; // the next connection joins
    state.patch({ error });
    await waitFor(error.retryAfterMs ?? PAUSE_MS, mine);
    if (!mine.aborted && connection.isLive()) void join();
  }

  function interrupt(): void {
    turn.abort();
    held = [];
    onInterrupted();
  }

  const offs = [
    connection.onConnect('/rooms', () => isFollowed() && void join()),
    connection.onDisconnect('/rooms', () => {
      interrupt();
      if (isFollowed() && cursor !== null) state.patch({ status: 'catching_up' });
    }),
    connection.on('room.message', onMessage),
    connection.on('room.message.updated', onMessage),
    connection.on('room.message.deleted', onMessage),
    connection.on('room.closed', ({ room_id, reason }) => {
      if (room_id !== roomId || !isOpen) return;
      interrupt();
      state.patch({ status: 'closed', closed: reason });
      onClosed(reason);
    }),
  ];

  return {
    /** Opens the room, or opens it again after it was closed or refused. */
    open(): void {
      if (isFollowed()) return;
      isOpen = true;
      state.patch({ status: 'joining', error: null });
      if (connection.isLive()) void join();
    },
    /** Ends the subscription. */
    leave(): void {
      if (connection.isLive()) connection.ask('room.leave', { room_id: roomId }).catch(() => {});
      isOpen = false;
      interrupt();
      state.patch({ status: 'joining' });
    },
    /**
     * Takes in a message that a call of ours was answered with. `shown`: it is in the list; `later`: it will be, after
     * what comes before it; `never`: nobody follows the room.
     */
    take(message: Message): 'shown' | 'later' | 'never' {
      if (!isFollowed()) return 'never';
      if (cursor !== null && message.change_seq <= cursor) return 'shown';
      if (held || message.change_seq !== (cursor ?? 0) + 1) return 'later';
      take(message);
      return 'shown';
    },
    close(): void {
      isOpen = false;
      turn.abort();
      for (const off of offs) off();
    },
  };
}
