/** Sends this node's clients elsewhere before it stops. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnySocket, Io } from './io.ts';

/** The cut is spread: clients that all come back at once are a storm for the others. */
const SPREAD_MS_PER_SOCKET = 5;
const SPREAD_MAX_MS = 10_000;
/**
 * What a client says while the farewell is on its way gets no answer, and a default client counts that as an error. It
 * is the least likely a moment after it has spoken, or when it has been silent for long; for such a moment a
 * connection is waited for, though not longer than the patience.
 */
const JUST_SPOKEN_MS = { from: 25, to: 150 };
const LONG_SILENT_MS = 3_000;
const PATIENCE_MS = 1_000;
const LOOK_EVERY_MS = 5;

type Connection = AnySocket['conn'];

/** Waits for a moment when everything that the client sent is answered and nothing is likely to be on its way. */
async function untilQuiet(connection: Connection, sockets: AnySocket[], end: number): Promise<void> {
  const answered = () => sockets.every(({ data }) => !data.unanswered);
  const quiet = () => {
    const silence =
      Date.now() - Math.max(...sockets.map(({ data, handshake }) => data.heardAt ?? handshake.issued));
    const justSpoken = silence >= JUST_SPOKEN_MS.from && silence <= JUST_SPOKEN_MS.to;
    // A connection that is just changing its transport would lose what it was sent last.
    const { upgrading } = connection as unknown as { upgrading: boolean };
    return answered() && !upgrading && (justSpoken || silence >= LONG_SILENT_MS);
  };
  const until = async (condition: () => boolean, deadline: number) => {
    while (connection.readyState === 'open' && !condition() && Date.now() < deadline) {
      await sleep(LOOK_EVERY_MS);
    }
  };
  await until(quiet, Math.min(Date.now() + PATIENCE_MS, end));
  // From here on nothing more is taken in: what gets no answer is not stored either.
  for (const socket of sockets) socket.data.leaving = true;
  await until(answered, end);
}

/**
 * Tells every local client to reconnect, then closes their transports one by one within `budgetMs` at most, each once
 * everything that was taken in from it is answered. The transport is closed, not the socket: a default client then
 * reconnects by itself.
 */
export async function drainSockets({ server, rooms, presence }: Io, budgetMs: number): Promise<void> {
  const connections = new Map<Connection, AnySocket[]>();
  for (const namespace of ['/rooms', '/presence']) {
    for (const socket of server.of(namespace).sockets.values()) {
      connections.set(socket.conn, [...(connections.get(socket.conn) ?? []), socket]);
    }
  }
  if (connections.size === 0) return;
  const spread = Math.min(connections.size * SPREAD_MS_PER_SOCKET, SPREAD_MAX_MS, budgetMs);
  for (const namespace of [rooms, presence]) {
    namespace.local.emit('server.draining', { reconnect_within_ms: Math.ceil(spread) + PATIENCE_MS });
  }
  const start = Date.now();
  const pause = spread / connections.size;
  const closing: Promise<void>[] = [];
  for (const [connection, sockets] of connections) {
    const ahead = start + closing.length * pause - Date.now();
    if (ahead > 1) await sleep(ahead);
    closing.push(untilQuiet(connection, sockets, start + budgetMs).then(() => connection.close()));
  }
  await Promise.all(closing);
}
