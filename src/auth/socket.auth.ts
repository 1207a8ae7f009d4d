/** Tokens on live sockets: the handshake, the notice before expiry, the cut at expiry or logout, the refresh. */
import { AppError, toAppError } from '../platform/errors.ts';
import type { Admission } from '../platform/admission.ts';
import type { ClientEvents, PRESENCE_CLIENT_EVENTS } from '../contract/events.ts';
import type { Erasures } from '../me/erasures.ts';
import { handshakeRefusal } from '../platform/gateway.ts';
import type { Gateway } from '../platform/gateway.ts';
import type { AnySocket } from '../platform/io.ts';
import type { Users } from '../users/users.service.ts';
import type { Caller } from './caller.ts';
import type { Logouts } from './logouts.ts';
import type { Tokens } from './tokens.ts';

const NOTICE_MS = 60_000;
/** setTimeout fires at once past 2^31 − 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export type SocketAuth = ReturnType<typeof createSocketAuth>;

interface SocketAuthDeps {
  tokens: Tokens;
  users: Users;
  logouts: Logouts;
  erasures: Erasures;
  admission: Admission;
}

export function createSocketAuth({ tokens, users, logouts, erasures, admission }: SocketAuthDeps) {
  const timers = new Map<string, NodeJS.Timeout>();
  /** The connected sockets of both namespaces, by user. */
  const live = new Map<string, Set<AnySocket>>();

  /** Keeps one timer a socket: first for the notice, then for the end. */
  const watch = (socket: AnySocket, noticed: boolean) => {
    clearTimeout(timers.get(socket.id));
    if (!socket.connected) return;
    const { expiresAt } = socket.data.caller;
    const wait = expiresAt - (noticed ? 0 : NOTICE_MS) - Date.now();
    const onTime = () => {
      if (wait > LONGEST_TIMER_MS) return watch(socket, noticed);
      if (noticed) return void socket.disconnect();
      socket.emit('auth.expiring', { expires_at: new Date(expiresAt).toISOString() });
      watch(socket, true);
    };
    timers.set(socket.id, setTimeout(onTime, Math.min(Math.max(wait, 0), LONGEST_TIMER_MS)));
  };

  /** Whether the caller's token still lets them in. */
  const counts = (caller: Caller) => !logouts.isVoid(caller) && erasures.admits(caller);
  const disconnectVoid = (userId: string) => {
    for (const socket of live.get(userId) ?? []) if (!counts(socket.data.caller)) socket.disconnect();
  };
  logouts.onLogout(disconnectVoid);
  erasures.onChange(disconnectVoid);

  return {
    /** Namespace middleware: refuses the handshake with the error code in `data.code`. */
    async handshake(socket: AnySocket, next: (error?: Error) => void): Promise<void> {
      try {
        await admission.knock(socket);
        const { token } = socket.handshake.auth as { token?: unknown };
        const caller = await tokens.verify(token);
        logouts.check(caller);
        erasures.check(caller);
        socket.data.caller = caller;
        await admission.enter(socket);
        users.remember(caller);
        next();
      } catch (error) {
        next(handshakeRefusal(toAppError(error)));
      }
    },

    /** Watches over a connected socket until it goes: its clock, and whether its user logs out or is erased. */
    start(socket: AnySocket): void {
      const { caller } = socket.data;
      const sockets = live.get(caller.id) ?? new Set();
      live.set(caller.id, sockets.add(socket));
      watch(socket, false);
      socket.on('disconnect', () => {
        clearTimeout(timers.get(socket.id));
        timers.delete(socket.id);
        sockets.delete(socket);
        if (sockets.size === 0) live.delete(caller.id);
      });
      // The logout may have come between the handshake and this.
      if (!counts(caller)) socket.disconnect();
    },

    /**
     * Gives every socket of the connection that carries the same user the new token.
     * @throws AppError unauthenticated; forbidden when the token is another user's
     */
    async refresh(socket: AnySocket, token: string): Promise<{ expires_at: string }> {
      const caller = await tokens.verify(token);
      if (caller.id !== socket.data.caller.id) {
        throw new AppError('forbidden', 'The token belongs to another user.');
      }
      logouts.check(caller);
      erasures.check(caller);
      users.remember(caller);
      for (const namespace of ['/rooms', '/presence']) {
        for (const other of socket.nsp.server.of(namespace).sockets.values()) {
          if (other.conn !== socket.conn || (other as AnySocket).data.caller.id !== caller.id) continue;
          (other as AnySocket).data.caller = caller;
          watch(other as AnySocket, false);
        }
      }
      return { expires_at: new Date(caller.expiresAt).toISOString() };
    },
  };
}

type WithRefresh = ClientEvents & Pick<typeof PRESENCE_CLIENT_EVENTS, 'auth.refresh'>;

/** Registers `auth.refresh`, which both namespaces have. */
export function attachTokenRefresh<S extends AnySocket, E extends WithRefresh>(
  gateway: Gateway<S, E>,
  socketAuth: SocketAuth,
): void {
  (gateway as unknown as Gateway<AnySocket, WithRefresh>).on(
    'auth.refresh',
    { limit: 'read' },
    ({ socket, payload }) => socketAuth.refresh(socket, payload.token),
  );
}
