/** Tokens on live sockets: the handshake, the notice before expiry, the cut at expiry, the refresh. */
import { AppError, toAppError } from '../platform/errors.ts';
import type { ClientEvents, PRESENCE_CLIENT_EVENTS } from '../contract/events.ts';
import { ackError } from '../platform/gateway.ts';
import type { Gateway } from '../platform/gateway.ts';
import type { AnySocket } from '../platform/io.ts';
import type { Users } from '../users/users.service.ts';
import type { Tokens } from './tokens.ts';

const NOTICE_MS = 60_000;
/** setTimeout fires at once past 2^31 − 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export type SocketAuth = ReturnType<typeof createSocketAuth>;

export function createSocketAuth({ tokens, users }: { tokens: Tokens; users: Users }) {
  const timers = new Map<string, NodeJS.Timeout>();

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

  return {
    /** Namespace middleware: refuses the handshake with the error code in `data.code`. */
    async handshake(socket: AnySocket, next: (error?: Error) => void): Promise<void> {
      try {
        const { token } = socket.handshake.auth as { token?: unknown };
        socket.data.caller = await tokens.verify(token);
        users.remember(socket.data.caller);
        next();
      } catch (error) {
        const problem = toAppError(error);
        next(Object.assign(new Error(problem.message), { data: ackError(problem) }));
      }
    },

    /** Starts the clock of a connected socket; it stops when the socket goes. */
    start(socket: AnySocket): void {
      watch(socket, false);
      socket.on('disconnect', () => {
        clearTimeout(timers.get(socket.id));
        timers.delete(socket.id);
      });
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
