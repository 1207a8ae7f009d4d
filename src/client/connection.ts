/** The live connection: both namespaces over one transport, kept up through everything that ends it. */
import { Manager } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import type { AckError } from '../contract/errors.ts';
import { asCityError, CityError, offline } from './errors.ts';
import { isHidden, onOnline, onPageShow, onVisibility } from './page.ts';
import type { Session } from './session.ts';
import { createValue } from './store.ts';
import type { ConnectionState, Store } from './types.ts';
import type { Ask, Listen } from './wire.ts';

type AckAnswer = { ok: true; data: unknown } | { ok: false; error: AckError };

const ANSWER_MS = 10_000;
const SAME_TOKEN_TRIES = 3;
const REVIVE_MS = { least: 500, most: 30_000 };

export type Connection = ReturnType<typeof createConnection>;

/** Both sockets of a client; `start` connects them. */
export function createConnection(url: string, session: Session) {
  const state = createValue<ConnectionState>({ phase: 'connecting', code: null });
  const manager = new Manager(url, {
    autoConnect: false,
    transports: ['websocket', 'polling'],
    tryAllTransports: true,
    reconnectionDelay: 400,
    reconnectionDelayMax: 5_000,
    timeout: 10_000,
  });
  let shown = '';
  const auth = (give: (data: object) => void) => give({ token: (shown = session.current() ?? '') });
  const rooms: Socket = manager.socket('/rooms', { auth });
  const presence: Socket = manager.socket('/presence', { auth });
  const sockets = [rooms, presence];
  let closed = false;
  let reviving: ReturnType<typeof setTimeout> | null = null;
  /** Whether the next attempt needs a newer token. */
  let isRenewalDue = false;
  let failures = 0;

  const become = (phase: ConnectionState['phase'], code: ConnectionState['code'] = null) => {
    if (!closed) state.patch({ phase, code });
  };

  function refuse(code: ConnectionState['code']): void {
    become('refused', code);
    rest();
    for (const socket of sockets) socket.disconnect();
  }

  function rest(): void {
    if (reviving !== null) clearTimeout(reviving);
    reviving = null;
  }

  /** Connects by hand what does not come back by itself, both sockets at once, after a pause that grows. */
  function revive(needsRenewal: boolean, retryAfterMs = 0): void {
    isRenewalDue ||= needsRenewal;
    if (reviving !== null) return;
    const most = Math.min(REVIVE_MS.least * 2 ** failures, REVIVE_MS.most);
    failures += 1;
    reviving = setTimeout(
      () => {
        reviving = null;
        void connect();
      },
      Math.max(retryAfterMs, most * (0.5 + Math.random() / 2)),
    );
  }

  async function connect(): Promise<void> {
    if (closed) return;
    const refused = isRenewalDue && session.current() === shown;
    try {
      const token = await (refused ? session.renew() : session.token());
      // Within a second two tokens may be one and the same; after that nobody has another.
      if (refused && token === shown && failures > SAME_TOKEN_TRIES) {
        throw new CityError('unauthenticated', 'the token is refused', { retryable: false });
      }
    } catch (error) {
      const { code, retryable } = asCityError(error);
      if (closed) return;
      if (!retryable) return refuse(code);
      become('lost', code);
      return revive(false);
    }
    if (closed) return;
    isRenewalDue = false;
    for (const socket of sockets) if (!socket.active) socket.connect();
  }

  for (const socket of sockets) {
    const leads = socket === rooms;
    socket.on('connect', () => {
      if (!leads) return;
      failures = 0;
      become('live');
    });
    socket.on('connect_error', (error: Error & { data?: AckError }) => {
      const { code = null, retry_after_ms } = error.data ?? {};
      if (leads && state.getSnapshot().phase !== 'refused') become('lost', code);
      if (socket.active) return; // the Manager tries again by itself
      if (code === 'forbidden') refuse(code);
      else revive(code === 'unauthenticated', retry_after_ms);
    });
    socket.on('disconnect', (reason) => {
      if (reason === 'io client disconnect') return;
      if (leads && state.getSnapshot().phase !== 'draining') become('lost');
      // Expiry, logout or a ban: the token at hand is no good, or it will be refused in words.
      if (reason === 'io server disconnect') revive(false);
    });
  }
  rooms.on('server.draining', () => become('draining'));

  const ask: Ask = (name, payload) =>
    new Promise((resolve, reject) => {
      const socket = name.startsWith('presence.') ? presence : rooms;
      if (!socket.connected) return reject(closed ? gone() : offline());
      // A callback and not a promise: the answer is taken in before any event that follows it.
      socket.timeout(ANSWER_MS).emit(name, payload, (lost: Error | null, answer: AckAnswer) => {
        if (lost) return reject(socket.connected ? late() : offline());
        if (answer.ok) return resolve(answer.data as never);
        const { code, message, retryable, retry_after_ms, errors } = answer.error;
        reject(new CityError(code, message, { retryable, retryAfterMs: retry_after_ms, errors }));
      });
    });

  const on: Listen = (name, listener) => {
    const socket = name.startsWith('presence.') ? presence : rooms;
    socket.on(name, listener as never);
    return () => void socket.off(name, listener as never);
  };

  session.onRenewed((token) => {
    // What fails here is repeated by the handshake, or by the server's cut at expiry.
    if (rooms.connected) ask('auth.refresh', { token }).catch(() => undefined);
  });
  on('auth.expiring', () => session.expiring());

  /** Connects now instead of at the next attempt. */
  function reconnect(): void {
    if (closed || sockets.every((socket) => socket.connected)) return;
    rest();
    // A fresh start ends the Manager's wait for its next attempt.
    if (manager._readyState === 'closed') for (const socket of sockets) socket.disconnect();
    if (state.getSnapshot().phase === 'refused') {
      become('connecting');
      isRenewalDue = true;
    }
    void connect();
  }

  const comeBack = () => {
    if (state.getSnapshot().phase !== 'refused' && !isHidden()) reconnect();
  };
  const offs = [onOnline(comeBack), onPageShow(comeBack), onVisibility(comeBack)];

  return {
    state: state as Store<ConnectionState>,
    ask,
    on,
    reconnect,
    isLive: () => rooms.connected,
    /** Calls `listener` every time a namespace is connected, and once now if it is. */
    onConnect(namespace: '/rooms' | '/presence', listener: () => void): () => void {
      const socket = namespace === '/rooms' ? rooms : presence;
      socket.on('connect', listener);
      if (socket.connected) listener();
      return () => void socket.off('connect', listener);
    },
    onDisconnect(namespace: '/rooms' | '/presence', listener: () => void): () => void {
      const socket = namespace === '/rooms' ? rooms : presence;
      socket.on('disconnect', listener);
      return () => void socket.off('disconnect', listener);
    },
    /** Calls `listener` with the server's pings, every 10 s, which no browser slows down in hidden pages. */
    onPing(listener: () => void): () => void {
      manager.on('ping', listener);
      return () => void manager.off('ping', listener);
    },
    start: () => void connect(),
    close(): void {
      become('closed');
      closed = true;
      rest();
      for (const off of offs) off();
      for (const socket of sockets) socket.disconnect();
    },
  };
}

const late = () => new CityError('timeout', 'no answer in time', { retryable: true });
const gone = () => new CityError('closed', 'the client was closed', { retryable: false });
