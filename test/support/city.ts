/** A city for a test: a database and a Redis of its own, and any number of nodes in this process. */
import { createApp } from '../../src/app.ts';
import type { App } from '../../src/app.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import { readConfig } from '../../src/config.ts';
import type { Role } from '../../src/contract/auth.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createDatabase } from './database.ts';
import { leaseRedis } from './redis.ts';
import { createRest } from './rest.ts';
import { connect } from './sockets.ts';

const SECRET = 'a-secret-of-the-tests-that-is-long-enough';

export type City = Awaited<ReturnType<typeof startCity>>;

interface CityOptions {
  /** Environment of each node; one node with the defaults when absent. */
  nodes?: Record<string, string>[];
  env?: Record<string, string>;
  /** Services of the test's own, for those that break them. */
  databaseUrl?: string;
  redisUrl?: string;
}

/** Starts the nodes; `stop` stops them and drops what they were given. */
export async function startCity({ nodes = [{}], env = {}, databaseUrl, redisUrl }: CityOptions = {}) {
  const [database, redis] = await Promise.all([
    databaseUrl === undefined ? createDatabase() : { url: databaseUrl, drop: async () => {} },
    redisUrl === undefined ? leaseRedis() : { url: redisUrl, release: async () => {} },
  ]);
  const tokens = createTokens({ key: { kind: 'secret', secret: SECRET } });
  const base = {
    NODE_ENV: 'test',
    PORT: '0',
    OPS_PORT: '0',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    JWT_SECRET: SECRET,
    RATE_LIMITS: 'off',
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? 'silent',
    SHUTDOWN_GRACE_MS: '5000',
    ...env,
  };
  const apps: App[] = [];
  const launch = async (own: Record<string, string> = {}): Promise<App> => {
    const config = readConfig({ ...base, ...own });
    const app = createApp(config, createLogger(config.logLevel));
    await app.start();
    return app;
  };
  apps.push(...(await Promise.all(nodes.map(launch))));
  /** One more node; its index is the next. */
  const start = async (own: Record<string, string> = {}): Promise<void> => void apps.push(await launch(own));

  const token = async (userId: string, options: { name?: string; roles?: Role[]; lifetimeS?: number } = {}) =>
    (await tokens.sign({ user_id: userId, ...options }, options.lifetimeS ?? 3600)).token;
  const url = (node = 0) => `http://127.0.0.1:${apps[node]!.port()}`;

  return {
    apps,
    database,
    redis,
    start,
    token,
    url,
    /** REST as `userId` on a node. */
    rest: async (userId: string, node = 0, options: { name?: string; roles?: Role[] } = {}) =>
      createRest(url(node), await token(userId, options)),
    /** A connected socket of `userId` on a node. */
    socket: async (
      namespace: '/rooms' | '/presence',
      userId: string,
      node = 0,
      options: { name?: string; roles?: Role[]; lifetimeS?: number } = {},
    ) => connect(url(node) + namespace, await token(userId, options)),
    async stop(): Promise<void> {
      await Promise.all(apps.map((app) => app.stop()));
      await Promise.all([database.drop(), redis.release()]);
    },
  };
}
