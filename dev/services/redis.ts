/** A private Redis for development and tests. */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Redis } from 'ioredis';
import { leash } from './leash.ts';
import { freePort, untilUnused, untilUp, type Log, type Service } from './programs.ts';
import { redisBinary } from './redis-binary.ts';

export interface RedisOptions {
  dataDir: string;
  /** A free one when absent. */
  port?: number;
  /** False for throw-away data: nothing is written to disk. */
  durable: boolean;
  log: Log;
}

/** Databases of the private Redis: numbers 0 to 63. */
export const REDIS_DATABASES = 64;

/** Starts Redis on 127.0.0.1. Ends with this process, however this process ends. */
export async function startRedis({ dataDir, port: wanted, durable, log }: RedisOptions): Promise<Service> {
  const folder = resolve(dataDir);
  const pidFile = join(folder, 'redis.pid');
  const binary = redisBinary(log);
  mkdirSync(folder, { recursive: true });
  await untilUnused(pidFile, binary.name, log, 'REDIS_URL');

  const port = wanted ?? (await freePort());
  const settings = Object.entries({
    bind: '127.0.0.1',
    port: String(port),
    dir: folder,
    pidfile: pidFile,
    save: '',
    appendonly: durable ? 'yes' : 'no',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
    databases: String(REDIS_DATABASES),
  });
  const server = leash(
    binary.path,
    settings.flatMap(([name, value]) => [`--${name}`, value]),
    { signal: 'TERM', graceS: 10, env: binary.env },
  );

  const url = `redis://127.0.0.1:${port}`;
  await untilUp('Redis', server, () => ping(url));
  log(`Redis on port ${port}${durable ? `, data in ${folder}` : ''}`);
  return {
    url,
    port,
    ended: server.ended.then(({ lastLines }) => `Redis ended:\n${lastLines}`),
    stop: () => server.stop(),
  };
}

/** Resolves when the server answers; it refuses while it still loads its data. */
async function ping(url: string): Promise<void> {
  const client = new Redis(url, { lazyConnect: true, enableReadyCheck: false, retryStrategy: () => null });
  client.on('error', () => {}); // not up yet
  try {
    await client.connect();
    await client.ping();
  } finally {
    client.disconnect();
  }
}
