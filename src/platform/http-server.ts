/** An HTTP server that can be closed within a second, whatever its clients do. */
import { createServer } from 'node:http';
import type { RequestListener, Server, ServerOptions } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ignoreUpgrades } from './upgrades.ts';

const IDLE_LOOK_MS = 50;
/** Connections that the kernel keeps for a node that is busy; past it a client's first packet is lost for a second. */
const BACKLOG = 2_048;
/** Whoever sends a request slower than that is cut off: the headers, all of it, and how often it is looked at. */
const PATIENCE = { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 2_000 };
/**
 * How long an idle connection is kept: longer than the balancers in front keep theirs (60 s), or one of them sends a
 * request into a connection that is just being closed, and answers 502. Between requests `headersTimeout` does not run.
 */
const KEEP_ALIVE_MS = 65_000;
/**
 * How long a closing WebSocket may take over its closing handshake, and a connection over its first request; a client that
 * sleeps never ends the one, a browser that connected in advance never sends the other.
 */
const FAREWELL_MS = 1_000;

export interface HttpServer {
  readonly server: Server;
  /** Resolves with the port once the server listens; rejects when the port is taken. */
  listen(port: number): Promise<number>;
  /** Takes no new connections and resolves when the requests under way are answered. */
  close(): Promise<void>;
}

/** What requests and responses are made as; Node's own when absent. */
export type MessageClasses = Pick<ServerOptions, 'IncomingMessage' | 'ServerResponse'>;

interface HttpServerOptions extends MessageClasses {
  /** What the paths begin with on which somebody takes WebSockets; no offer of another protocol is taken when absent. */
  webSockets?: string;
}

export function createHttpServer(
  listener: RequestListener,
  { webSockets, ...classes }: HttpServerOptions = {},
): HttpServer {
  const connections = new Set<Socket>();
  /** Those that Node closes by itself, once they are idle: one that has sent nothing yet is not idle for it. */
  const served = new WeakSet<Socket>();
  let closing = false;
  const server = createServer(
    { ...PATIENCE, keepAliveTimeout: KEEP_ALIVE_MS, ...classes },
    (request, response) => {
      served.add(request.socket);
      if (closing) response.setHeader('Connection', 'close');
      listener(request, response);
    },
  );
  ignoreUpgrades(server, webSockets);
  server.on('connection', (connection: Socket) => {
    if (connections.has(connection)) return; // it is read once more (upgrades.ts)
    connections.add(connection);
    connection.once('close', () => connections.delete(connection));
  });
  server.on('upgrade', (_request, connection: Socket) => {
    served.delete(connection);
    // Until a WebSocket has taken it over nobody listens, and a reset would end the process.
    connection.on('error', () => {});
  });

  return {
    server,

    async listen(port) {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ port, backlog: BACKLOG }, () => {
          server.off('error', reject);
          resolve();
        });
      });
      return (server.address() as AddressInfo).port;
    },

    async close() {
      if (!server.listening) return;
      closing = true;
      let closed = false;
      const done = new Promise<void>((resolve) => void server.close(() => resolve()));
      void done.then(() => (closed = true));
      const farewell = setTimeout(() => {
        for (const connection of connections) if (!served.has(connection)) connection.destroy();
      }, FAREWELL_MS);
      while (!closed) {
        server.closeIdleConnections();
        await Promise.race([done, sleep(IDLE_LOOK_MS)]);
      }
      clearTimeout(farewell);
    },
  };
}
