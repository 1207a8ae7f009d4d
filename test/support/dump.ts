/** Everything that a database and a Redis hold, as text, to look for what must not be there. */
import { Redis } from 'ioredis';
import pg from 'pg';

/** Each row of every table, as PostgreSQL writes it, with the table's name before it. */
export async function dumpDatabase(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      `select quote_ident(table_name) as name from information_schema.tables
       where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`,
    );
    const lines: string[] = [];
    for (const { name } of tables.rows) {
      const { rows } = await client.query<{ line: string }>(`select t::text as line from ${name} t`);
      lines.push(...rows.map(({ line }) => `${name} ${line}`));
    }
    return lines;
  } finally {
    await client.end();
  }
}

const READ: Record<string, (redis: Redis, key: string) => Promise<unknown>> = {
  string: (redis, key) => redis.get(key),
  hash: (redis, key) => redis.hgetall(key),
  set: (redis, key) => redis.smembers(key),
  zset: (redis, key) => redis.call('zrange', key, '0', '-1', 'withscores'),
  list: (redis, key) => redis.lrange(key, 0, -1),
  stream: (redis, key) => redis.xrange(key, '-', '+'),
};

/** Each key with its value, of whatever type. */
export async function dumpRedis(url: string): Promise<string[]> {
  const redis = new Redis(url);
  try {
    const lines: string[] = [];
    for await (const keys of redis.scanStream({ count: 1_000 }) as AsyncIterable<string[]>) {
      for (const key of keys) {
        const type = await redis.type(key);
        if (type === 'none') continue;
        const read = READ[type];
        if (!read) throw new Error(`${key} is a ${type}, which nobody here can read`);
        lines.push(`${key} ${JSON.stringify(await read(redis, key))}`);
      }
    }
    return lines;
  } finally {
    redis.disconnect();
  }
}
