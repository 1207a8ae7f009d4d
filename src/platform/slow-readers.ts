/** Cuts connections that do not read what they are sent: Engine.IO queues for them without a bound. */
import type { Server } from 'socket.io';
import type { Logger } from './logger.ts';
import { startLoop } from './loop.ts';
import type { Metrics } from './metrics.ts';

/** The part of an Engine.IO socket (6.6) that its types keep private. */
interface Connection {
  readonly id: string;
  readonly writeBuffer: readonly { readonly data?: unknown }[];
  readonly transport: { readonly socket?: { terminate?(): void } };
  close(discard: boolean): void;
}

const LOOK_EVERY_MS = 500;
const QUEUED_MAX_BYTES = 1024 * 1024;

/** What waits in Engine.IO for the transport; that which the transport itself has taken is bounded by the kernel. */
function queuedBytes({ writeBuffer }: Connection): number {
  let bytes = 0;
  for (const { data } of writeBuffer) {
    if (typeof data === 'string') bytes += Buffer.byteLength(data);
    else if (ArrayBuffer.isView(data)) bytes += data.byteLength;
    if (bytes > QUEUED_MAX_BYTES) break;
  }
  return bytes;
}

/** Drops what is queued and ends the transport at once: a reader that has stalled answers no closing handshake. */
function cut(connection: Connection): void {
  const { socket } = connection.transport;
  connection.close(true);
  socket?.terminate?.();
}

/**
 * Looks every half second for connections with over 1 MB queued and cuts them; a client that is alive reconnects and
 * resumes by `since`. Returns what ends the looking.
 */
export function cutSlowReaders(server: Server, log: Logger, metrics: Metrics): () => Promise<void> {
  const look = async () => {
    const clients = (server.engine as unknown as { clients: Record<string, Connection> }).clients;
    for (const connection of Object.values(clients)) {
      if (connection.writeBuffer.length === 0 || queuedBytes(connection) <= QUEUED_MAX_BYTES) continue;
      metrics.slowReaders.inc();
      log.warn(
        { connection: connection.id, packets: connection.writeBuffer.length },
        'a slow reader was cut',
      );
      cut(connection);
    }
  };
  return startLoop(LOOK_EVERY_MS, look, log, 'slow readers cannot be looked for');
}
