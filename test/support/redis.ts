/** A Redis database of its own for each test file: numbers 1 to 63 of the run's Redis; 0 keeps the leases. */
import { Redis } from 'ioredis';
import { REDIS_DATABASES } from '../../dev/services/redis.ts';

export interface RedisLease {
  url: string;
  /** Empties the database and gives it back. */
  release(): Promise<void>;
}

/**
 * Leases an empty database. A counter hands the numbers out in turn, so that one just given back rests for a while.
 * Pub/sub knows no databases: channels need names of their own.
 */
export async function leaseRedis(): Promise<RedisLease> {
  const url = process.env.TEST_REDIS_URL;
  if (!url) throw new Error('TEST_REDIS_URL is not set: run this through jest, whose global setup sets it');
  const number = await withRedis(url, async (leases) => {
    for (let attempt = 1; attempt < REDIS_DATABASES; attempt += 1) {
      const candidate = ((await leases.incr('turn')) % (REDIS_DATABASES - 1)) + 1;
      if (await leases.set(`lease:${candidate}`, process.pid, 'NX')) return candidate;
    }
    throw new Error(`All ${REDIS_DATABASES - 1} Redis databases are leased: is every lease released?`);
  });
  const own = `${url}/${number}`;
  const flush = () => withRedis(own, (redis) => redis.flushdb());
  await flush();
  return {
    url: own,
    async release() {
      await flush();
      await withRedis(url, (leases) => leases.del(`lease:${number}`));
    },
  };
}

async function withRedis<T>(url: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url);
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}
