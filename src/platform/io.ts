/** The Socket.IO server: transports, origin check, the guarded Redis adapter. */
import { createAdapter } from '@socket.io/redis-adapter';
import type { Redis } from 'ioredis';
import type { Server as HttpServer, IncomingMessage } from 'node:http';
import { Server } from 'socket.io';
import type { Namespace, Socket } from 'socket.io';
import type { Caller } from '../auth/caller.ts';
import type { PresenceServerEvents, RoomsServerEvents } from '../contract/events.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { ignoreOwnEchoes } from './own-echoes.ts';
import type { RedisLinks } from './redis.ts';
import { createSecurityHeaders } from './security-headers.ts';
import { shareWrites } from './shared-writes.ts';

/** What every socket carries once its handshake is through. */
export interface SocketData {
  caller: Caller;
  /** What its address is counted as. */
  address: string;
  /** Events taken in and not answered yet, and when the last one came (epoch, ms). */
  unanswered?: number;
  heardAt?: number;
  /** Set when the node is about to close the transport: nothing more is taken in. */
  leaving?: true;
}

// Client events reach the gateway as raw packets, so no listener types are needed.
type NoEvents = Record<string, never>;

/** News between nodes, sent with serverSideEmit: event name and one JSON value. */
export type NodeEvents = Record<string, (news: never) => void>;

export type RoomsNamespace = Namespace<NoEvents, RoomsServerEvents, NodeEvents, SocketData>;
export type RoomsSocket = Socket<NoEvents, RoomsServerEvents, NodeEvents, SocketData>;
export type PresenceNamespace = Namespace<NoEvents, PresenceServerEvents, NodeEvents, SocketData>;
export type PresenceSocket = Socket<NoEvents, PresenceServerEvents, NodeEvents, SocketData>;
/** A socket of either namespace, with what both are sent. */
export type AnySocket = Socket<
  NoEvents,
  Pick<RoomsServerEvents, 'auth.expiring' | 'server.draining'>,
  NodeEvents,
  SocketData
>;

export interface Io {
  server: Server;
  rooms: RoomsNamespace;
  presence: PresenceNamespace;
}

/** What the paths of all its connections begin with. */
export const SOCKETS_PATH = '/socket.io/';
export const MAX_FRAME_BYTES = 64 * 1024 + 1024;

/**
 * A Socket.IO server over `http`; without one (a worker) it only publishes.
 * Delivery to local sockets never waits for Redis, and a publish that Redis does not take is counted, not thrown.
 */
export function createIo(
  redis: RedisLinks,
  metrics: Metrics,
  log: Logger,
  http?: HttpServer,
  allowRequest: (request: IncomingMessage) => boolean = () => true,
): Io {
  // The adapter awaits none of these.
  survive(redis.commands, ['publish'], () => metrics.lostNews.inc());
  survive(redis.subscriber, ['subscribe', 'psubscribe'], (error) =>
    log.error({ err: error }, 'not subscribed'),
  );
  survive(redis.subscriber, ['unsubscribe', 'punsubscribe'], () => {});

  const server = new Server({
    adapter: createAdapter(redis.commands, redis.subscriber, {
      key: `city-${redis.database}`,
      requestsTimeout: 1_500,
      publishOnSpecificResponseChannel: true,
    }),
    path: SOCKETS_PATH,
    transports: ['polling', 'websocket'],
    perMessageDeflate: false,
    httpCompression: false,
    maxHttpBufferSize: MAX_FRAME_BYTES,
    connectTimeout: 10_000,
    allowEIO3: false,
    serveClient: false,
    pingInterval: 10_000,
    pingTimeout: 10_000,
    cors: { origin: true },
    allowRequest: (request, decide) => decide(null, allowRequest(request)),
  });
  if (http) {
    server.attach(http);
    server.engine.use(createSecurityHeaders());
    shareWrites(server);
  }
  const io: Io = { server, rooms: server.of('/rooms'), presence: server.of('/presence') };
  for (const adapter of adaptersOf(io)) ignoreOwnEchoes(adapter, redis.subscriber);
  return io;
}

/** Makes calls of `methods` that Redis does not take resolve with 0, after `onLost`. */
function survive(client: Redis, methods: string[], onLost: (error: unknown) => void): void {
  const calls = client as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  for (const method of methods) {
    const call = calls[method]!.bind(client);
    calls[method] = (...args) =>
      call(...args).catch((error: unknown) => {
        onLost(error);
        return 0;
      });
  }
}

const adaptersOf = ({ server, rooms, presence }: Io) =>
  [server.of('/'), rooms, presence].map(({ adapter }) => adapter);

/** Ends this server's part in the adapters' conversation. */
export async function closeAdapters(io: Io): Promise<void> {
  for (const adapter of adaptersOf(io)) await adapter.close();
}

/**
 * Calls `handler` with the news `name` of other nodes. News may come from another version, or from whoever else can
 * publish: what the handler cannot take is logged and dropped.
 */
export function onNews<News>(
  namespace: RoomsNamespace | PresenceNamespace,
  name: string,
  log: Logger,
  handler: (news: News) => void | Promise<void>,
): void {
  const receive = async (news: News) => {
    try {
      await handler(news);
    } catch (error) {
      log.warn({ err: error, news: name }, 'news was dropped');
    }
  };
  namespace.on(name as never, receive as never);
}

/** The socket.io room of all the sockets of one user in a namespace. */
export const userChannel = (userId: string) => `user:${userId}`;
/** The socket.io room of the sockets that have a city room open. */
export const roomChannel = (roomId: string) => `room:${roomId}`;
