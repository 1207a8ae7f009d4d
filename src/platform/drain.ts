/** Sends this node's clients elsewhere before it stops. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Io } from './io.ts';

/** The cut is spread: clients that all come back at once are a storm for the others. */
const SPREAD_MS_PER_SOCKET = 5;
const SPREAD_MAX_MS = 10_000;

/**
 * Tells every local client to reconnect, then closes their transports one by one within `budgetMs` at most.
 * The transport is closed, not the socket: a default client then reconnects by itself.
 */
export async function drainSockets({ server, rooms, presence }: Io, budgetMs: number): Promise<void> {
  const connections = new Set(
    [...server.of('/rooms').sockets.values(), ...server.of('/presence').sockets.values()].map(
      ({ conn }) => conn,
    ),
  );
  if (connections.size === 0) return;
  const spread = Math.min(connections.size * SPREAD_MS_PER_SOCKET, SPREAD_MAX_MS, budgetMs);
  for (const namespace of [rooms, presence]) {
    namespace.local.emit('server.draining', { reconnect_within_ms: Math.ceil(spread) + 1_000 });
  }
  const pause = spread / connections.size;
  const start = Date.now();
  let closed = 0;
  for (const connection of connections) {
    const ahead = start + closed++ * pause - Date.now();
    if (ahead > 1) await sleep(ahead);
    connection.close();
  }
}
