/** One plain socket.io connection to a room, with everything that comes over it written down and checked. */
import { io } from 'socket.io-client';
import type { Message } from '../../../src/contract/messages.ts';
import type { Room } from '../../../src/contract/rooms.ts';
import { changesSince } from './api.ts';
import { checkFrom, reach, receive } from './check.ts';
import type { Check, How } from './check.ts';

const ROWS_MAX = 400;
const LAGS_MAX = 200;
const CHANGES = ['room.message', 'room.message.updated', 'room.message.deleted'];

export interface Row {
  readonly id: number;
  /** Epoch, milliseconds. */
  readonly at: number;
  readonly kind: 'line' | 'out' | 'in' | How;
  readonly event: string;
  readonly roomId: string | null;
  readonly seq: number | null;
  readonly change: number | null;
  /** From the change's time in the database to its arrival here, milliseconds. */
  readonly lagMs: number | null;
  readonly payload: unknown;
}

export interface LineState {
  readonly phase: 'connecting' | 'live' | 'replaying' | 'lost' | 'cut' | 'refused';
  readonly refusal: string | null;
  readonly transport: string | null;
  /** Newest first. */
  readonly rows: readonly Row[];
  /** Null before the first join. */
  readonly check: Check | null;
  /** Of the last live changes, milliseconds. */
  readonly lags: readonly number[];
  /** The last reconnect: where it resumed, and how many messages that brought. */
  readonly resumed: { since: number; messages: number } | null;
}

interface JoinAnswer {
  ok: boolean;
  data: { room: Room; messages: Message[]; has_more: boolean };
  error: { code: string };
}

export type Line = ReturnType<typeof createLine>;

/** Connects as the bearer of `token` and joins `roomId`. `clockAhead` is the database's clock minus this one's, milliseconds. */
export function createLine(token: string, roomId: string, clockAhead: () => number) {
  let state: LineState = {
    phase: 'connecting',
    refusal: null,
    transport: null,
    rows: [],
    check: null,
    lags: [],
    resumed: null,
  };
  const listeners = new Set<() => void>();
  const set = (change: Partial<LineState>) => {
    state = { ...state, ...change };
    for (const listener of listeners) listener();
  };

  let rowId = 0;
  const write = (row: Partial<Row> & Pick<Row, 'kind' | 'event'>) => {
    const full: Row = {
      id: ++rowId,
      at: Date.now(),
      roomId: null,
      seq: null,
      change: null,
      lagMs: null,
      payload: null,
      ...row,
    };
    set({ rows: [full, ...state.rows].slice(0, ROWS_MAX) });
  };

  const take = (event: string, message: Message, how: How) => {
    const changedAt = message.deleted_at ?? message.edited_at ?? message.created_at;
    const lagMs = Date.now() + clockAhead() - Date.parse(changedAt);
    if (how === 'live') set({ lags: [lagMs, ...state.lags].slice(0, LAGS_MAX) });
    if (state.check) set({ check: receive(state.check, message, how) });
    const { seq, change_seq: change } = message;
    write({ kind: how, event, roomId, seq, change, lagMs, payload: message });
  };

  // A Manager of its own: cutting it cuts nobody else.
  const socket = io('/rooms', { auth: { token }, forceNew: true, reconnectionDelayMax: 2_000 });
  /** Live changes that arrive while a long replay is still being read over REST. */
  let waiting: { event: string; message: Message }[] | null = null;
  /** Counts connections: a replay whose connection has gone leaves the rest to the next one. */
  let connection = 0;

  const replay = async (since: number, { room, messages, has_more }: JoinAnswer['data']) => {
    const own = connection;
    waiting = [];
    set({ phase: 'replaying' });
    let count = messages.length;
    for (const message of messages) take('room.join → messages', message, 'replayed');
    while (has_more && state.check && state.check.change < room.last_change_seq) {
      const page = await changesSince(token, roomId, state.check.change);
      if (own !== connection) return;
      // What is beyond the head of the answer comes live.
      const missed = page.messages.filter(({ change_seq }) => change_seq <= room.last_change_seq);
      if (missed.length === 0) break;
      count += missed.length;
      for (const message of missed) take('GET …/messages?since', message, 'replayed');
    }
    if (state.check) set({ check: reach(state.check, room) });
    set({ resumed: { since, messages: count } });
    for (const { event, message } of waiting) take(event, message, 'live');
    waiting = null;
  };

  const join = async () => {
    const since = state.check?.change;
    const payload = { room_id: roomId, ...(since === undefined ? {} : { since }) };
    write({ kind: 'out', event: 'room.join', roomId, change: since ?? null, payload });
    const answer = (await socket.timeout(10_000).emitWithAck('room.join', payload)) as JoinAnswer;
    if (!answer.ok) return set({ phase: 'refused', refusal: answer.error.code });
    const { room, messages } = answer.data;
    const note = { room: room.id, messages: messages.length, last_change_seq: room.last_change_seq };
    write({ kind: 'in', event: 'room.join ✓', roomId, change: room.last_change_seq, payload: note });
    if (since === undefined) set({ check: checkFrom(room) });
    else await replay(since, answer.data);
    if (socket.connected) set({ phase: 'live' });
  };

  socket.on('connect', () => {
    connection += 1;
    const transport = socket.io.engine.transport.name;
    set({ phase: 'connecting', refusal: null, transport });
    write({ kind: 'line', event: 'connect', payload: { id: socket.id, transport } });
    socket.io.engine.once('upgrade', ({ name }) => set({ transport: name }));
    // A connection that goes while it joins begins again when it is back.
    join().catch((error: unknown) => write({ kind: 'line', event: 'room.join ✗', payload: String(error) }));
  });
  socket.on('disconnect', (reason) => {
    connection += 1;
    waiting = null;
    write({ kind: 'line', event: 'disconnect', payload: { reason } });
    set({ phase: socket.io.reconnection() ? 'lost' : 'cut', transport: null });
  });
  socket.on('connect_error', (error) => {
    const { code } = ((error as { data?: { code?: string } }).data ?? {}) as { code?: string };
    write({ kind: 'line', event: 'connect_error', payload: code ?? error.message });
    set(code === undefined ? { phase: 'lost' } : { phase: 'refused', refusal: code });
  });
  socket.onAny((event: string, payload: { room_id?: string; message?: Message }) => {
    const { message } = payload;
    if (!message || !CHANGES.includes(event)) {
      write({ kind: 'in', event, roomId: payload.room_id ?? null, payload });
    } else if (waiting) waiting.push({ event, message });
    else take(event, message, 'live');
  });

  return {
    getSnapshot: () => state,
    subscribe(listener: () => void) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** Closes the transport under the connection, as a lost network does, and stays away. */
    cut(): void {
      socket.io.reconnection(false);
      socket.io.engine.close();
    },
    reconnect(): void {
      socket.io.reconnection(true);
      set({ phase: 'connecting', resumed: null });
      socket.connect();
    },
    close: (): void => void socket.close(),
  };
}
