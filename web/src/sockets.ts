/** The live connection: both namespaces over one transport, their reconnection, renewal and acknowledged calls. */
import { Manager, type Socket } from 'socket.io-client';
import type { z } from 'zod';
import type {
  PRESENCE_CLIENT_EVENTS,
  PresenceServerEvents,
  ROOMS_CLIENT_EVENTS,
  RoomsServerEvents,
} from '../../src/contract/events.ts';
import { CityError, offline } from './errors.ts';
import { currentSession, renew } from './session.ts';
import { createStore } from './store.ts';

type Anything = Record<string, (...args: never[]) => void>;
type RoomsSocket = Socket<RoomsServerEvents, Anything>;
type PresenceSocket = Socket<PresenceServerEvents, Anything>;
type RoomsCalls = typeof ROOMS_CLIENT_EVENTS;
type PresenceCalls = typeof PRESENCE_CLIENT_EVENTS;

type Answer =
  | { ok: true; data: unknown }
  | { ok: false; error: { code: string; message: string; retryable: boolean; retry_after_ms?: number } };

type Phase = 'connecting' | 'live' | 'lost' | 'draining' | 'refused';

export const connection = createStore<{ phase: Phase; code: string | null }>({
  phase: 'connecting',
  code: null,
});

interface Live {
  readonly manager: Manager;
  readonly rooms: RoomsSocket;
  readonly presence: PresenceSocket;
}

let live: Live | null = null;

const setPhase = (phase: Phase, code: string | null = null) => {
  const now = connection.get();
  if (now.phase !== phase || now.code !== code) connection.set(() => ({ phase, code }));
};

/** Connects again by hand after the server refused or ended the connection, with a newer token if it needs one. */
async function revive(socket: RoomsSocket | PresenceSocket, code: string | null): Promise<void> {
  const session = currentSession();
  if (!session) return;
  if (code === 'unauthenticated' || session.expiresAt <= Date.now() + 5_000) {
    if ((await renew()) === 'ended') return;
  }
  const wait = 1_000 + Math.random() * 2_000;
  setTimeout(() => {
    if (live && (live.rooms === socket || live.presence === socket) && !socket.connected) socket.connect();
  }, wait);
}

function follow(socket: RoomsSocket | PresenceSocket, leads: boolean): void {
  const base = socket as Socket;
  base.on('connect', () => leads && setPhase('live'));
  base.on('connect_error', (error: Error & { data?: { code?: string } }) => {
    const code = error.data?.code ?? null;
    if (leads && connection.get().phase !== 'draining') {
      setPhase(code === 'forbidden' ? 'refused' : 'lost', code);
    }
    if (!socket.active && code !== 'forbidden') void revive(socket, code);
  });
  base.on('disconnect', (reason) => {
    if (reason === 'io client disconnect') return;
    if (leads && connection.get().phase !== 'draining') setPhase('lost');
    if (reason === 'io server disconnect') void revive(socket, null);
  });
}

async function refreshToken(): Promise<void> {
  const session = currentSession();
  if (!session?.dev || (await renew()) !== 'ok') return;
  const token = currentSession()?.token;
  if (token) await askRooms('auth.refresh', { token }).catch(() => undefined);
}

/** Opens both sockets; the listeners must be attached before `start` connects them. */
export function openSockets(): Live & { start(): void } {
  closeSockets();
  setPhase('connecting');
  const manager = new Manager(window.location.origin, {
    autoConnect: false,
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    reconnectionDelay: 400,
    reconnectionDelayMax: 5_000,
  });
  const auth = (give: (data: object) => void) => give({ token: currentSession()?.token ?? '' });
  const rooms = manager.socket('/rooms', { auth }) as RoomsSocket;
  const presence = manager.socket('/presence', { auth }) as PresenceSocket;
  live = { manager, rooms, presence };
  follow(rooms, true);
  follow(presence, false);
  rooms.on('auth.expiring', () => void refreshToken());
  rooms.on('server.draining', () => setPhase('draining'));
  return {
    ...live,
    start() {
      rooms.connect();
      presence.connect();
    },
  };
}

export function closeSockets(): void {
  if (!live) return;
  live.rooms.disconnect();
  live.presence.disconnect();
  live = null;
}

/** Tries to connect now instead of waiting for the next attempt. */
export function reconnectNow(): void {
  if (!live) return;
  for (const socket of [live.rooms, live.presence]) if (!socket.connected) socket.connect();
}

export const isLive = (): boolean => live?.rooms.connected ?? false;

async function ask(socket: Socket | undefined, event: string, payload: unknown): Promise<unknown> {
  if (!socket?.connected) throw offline();
  let answer: Answer;
  try {
    answer = (await socket.timeout(10_000).emitWithAck(event, payload)) as Answer;
  } catch {
    throw socket.connected ? new CityError('timeout', 'No answer in time', true) : offline();
  }
  if (answer.ok) return answer.data;
  const { code, message, retryable, retry_after_ms } = answer.error;
  throw new CityError(code, message, retryable, retry_after_ms ?? null);
}

/** Asks the /rooms namespace and waits for its acknowledgement. */
export const askRooms = <E extends keyof RoomsCalls>(
  event: E,
  payload: z.input<RoomsCalls[E]['payload']>,
): Promise<z.output<RoomsCalls[E]['data']>> =>
  ask(live?.rooms as Socket | undefined, event, payload) as Promise<z.output<RoomsCalls[E]['data']>>;

/** Asks the /presence namespace and waits for its acknowledgement. */
export const askPresence = <E extends keyof PresenceCalls>(
  event: E,
  payload: z.input<PresenceCalls[E]['payload']>,
): Promise<z.output<PresenceCalls[E]['data']>> =>
  ask(live?.presence as Socket | undefined, event, payload) as Promise<z.output<PresenceCalls[E]['data']>>;
