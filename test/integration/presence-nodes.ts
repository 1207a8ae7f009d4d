/** Nodes of a city that has presence and occupancy only, each with a link to Redis that can be cut. */
import type { AddressInfo } from 'node:net';
import { createServer as createHttp } from 'node:http';
import { Redis } from 'ioredis';
import { PRESENCE_CLIENT_EVENTS } from '../../src/contract/events.ts';
import { createGateway } from '../../src/platform/gateway.ts';
import { createIo } from '../../src/platform/io.ts';
import type { PresenceSocket } from '../../src/platform/io.ts';
import { UNLIMITED } from '../../src/platform/limits.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { connectRedis } from '../../src/platform/redis.ts';
import { createNodeLease } from '../../src/presence/node-lease.ts';
import { createOccupancy } from '../../src/presence/occupancy.ts';
import { createPresence } from '../../src/presence/presence.service.ts';
import { attachPresence } from '../../src/presence/presence.socket.ts';
import { startProxy } from '../support/proxy.ts';
import { leaseRedis } from '../support/redis.ts';
import { connect } from '../support/sockets.ts';
import type { TestSocket } from '../support/sockets.ts';

/** A lease outlives a stall of this machine: of a longer one Redis itself knows, and nobody is reaped. */
const FAST_LEASE = { leaseMs: 2_500, renewMs: 300, retireMs: 400 };
const FAST = { graceMs: 2_500, reapMs: 50, reapIdleMs: 200, checkMs: 400, calmMs: 1_000 };

/** A line to Redis that can be cut, held up, and mended. */
async function createLink(target: URL) {
  const proxy = await startProxy(Number(target.port));
  const url = new URL(target);
  url.port = String(proxy.port);
  return {
    url: url.href,
    cut: proxy.refuse,
    /** What is sent to Redis arrives when the line is mended. */
    hold: () => proxy.blackhole('to_service'),
    mend: proxy.pass,
    close: proxy.close,
  };
}

interface NodeOptions {
  cityViewMax?: number;
  lease?: Partial<typeof FAST_LEASE>;
  timings?: Partial<typeof FAST & { ttlMs: number; refreshMs: number }>;
}

export type PresenceNode = Awaited<ReturnType<typeof startNode>>;

async function startNode(redisUrl: string, options: NodeOptions) {
  const link = await createLink(new URL(redisUrl));
  const log = createLogger(process.env.TEST_LOG_LEVEL ?? 'silent');
  const metrics = createMetrics();
  const redis = await connectRedis(link.url, log);
  const http = createHttp();
  const io = createIo(redis, metrics, log, http);
  const namespace = io.presence;
  const lease = createNodeLease({ redis, log, nodeId: 'test', timings: { ...FAST_LEASE, ...options.lease } });
  const occupancy = createOccupancy({ redis, lease, log });
  const presence = createPresence({
    redis,
    lease,
    namespace,
    occupancy,
    log,
    metrics,
    ...(options.cityViewMax === undefined ? {} : { cityViewMax: options.cityViewMax }),
    timings: { ...FAST, ...options.timings },
  });
  const gateway = createGateway<PresenceSocket, typeof PRESENCE_CLIENT_EVENTS>(PRESENCE_CLIENT_EVENTS, {
    log,
    metrics,
    limits: UNLIMITED,
    authorise: async () => {},
  });
  attachPresence({ presence, gateway });
  namespace.use((socket, next) => {
    const { token } = socket.handshake.auth as { token: string };
    socket.data.caller = { id: token, name: undefined, roles: ['citizen'], issuedAt: 0, expiresAt: Infinity };
    next();
  });
  namespace.on('connection', (socket) => {
    gateway.attach(socket);
    void presence.connect(socket);
  });
  await lease.start();
  await presence.start();
  await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
  const { port } = http.address() as AddressInfo;
  let stopped = false;
  return {
    redis,
    link,
    lease,
    occupancy,
    presence,
    namespace,
    /** A client of this node whose user is `userId`. */
    client: (userId: string): Promise<TestSocket> =>
      connect(`http://127.0.0.1:${port}/presence`, userId, { transports: ['websocket'] }),
    async stop(): Promise<void> {
      if (stopped) return;
      stopped = true;
      await presence.stop();
      await lease.stop();
      await io.server.close();
      // The adapter does not wait for its unsubscriptions.
      if (redis.subscriber.status === 'ready') await redis.subscriber.ping().catch(() => {});
      await redis.close();
      await link.close();
    },
  };
}

export type PresenceCity = Awaited<ReturnType<typeof startPresenceCity>>;

/** `count` nodes on a Redis database of their own; `redis` is a connection past all links. */
export async function startPresenceCity(count: number, options: NodeOptions = {}) {
  const leased = await leaseRedis();
  const nodes: PresenceNode[] = [];
  const start = async (own: NodeOptions = {}): Promise<PresenceNode> => {
    const node = await startNode(leased.url, { ...options, ...own });
    nodes.push(node);
    return node;
  };
  for (let i = 0; i < count; i++) await start();
  const redis = new Redis(leased.url);
  return {
    nodes,
    start,
    redis,
    async stop(): Promise<void> {
      await Promise.all(nodes.map((node) => node.stop()));
      redis.disconnect();
      await leased.release();
    },
  };
}
