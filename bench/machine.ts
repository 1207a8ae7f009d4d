/** What the bench ran on. */
import { execFileSync, spawnSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import pg from 'pg';
import { Redis } from 'ioredis';

export interface Machine {
  cores: number;
  model: string;
  memoryGiB: number;
  kernel: string;
  node: string;
  postgres: string;
  /** Settings of PostgreSQL that a figure depends on. */
  postgresSettings: Record<string, string>;
  redis: string;
  commit: string;
}

const SETTINGS = [
  ...['fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers'],
  ...['min_wal_size', 'max_wal_size'],
];

export async function describeMachine(databaseUrl: string, redisUrl: string): Promise<Machine> {
  const client = new pg.Client({ connectionString: databaseUrl });
  const redis = new Redis(redisUrl);
  try {
    await client.connect();
    const { rows } = await client.query<{ name: string; value: string }>(
      `select name, current_setting(name) as value from pg_settings where name = any($1)`,
      [[...SETTINGS, 'server_version']],
    );
    const settings = Object.fromEntries(rows.map(({ name, value }) => [name, value]));
    const { server_version: postgres = 'unknown', ...postgresSettings } = settings;
    return {
      cores: availableParallelism(),
      model: cpus()[0]?.model ?? 'unknown',
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
      node: process.version,
      postgres,
      postgresSettings,
      redis: /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? 'unknown',
      commit: commit(),
    };
  } finally {
    await client.end();
    redis.disconnect();
  }
}

/** The commit that is checked out; `+` says that the sources of a server are not as committed. */
function commit(): string {
  const root = new URL('..', import.meta.url);
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  if (spawnSync('git', ['rev-parse'], { cwd: root }).status !== 0) return 'none';
  const changed = git('status', '--porcelain', '--', 'src', 'migrations', 'bench');
  return git('rev-parse', '--short', 'HEAD') + (changed ? '+' : '');
}

/** The load average of the last minute: what else this machine was doing before a run. */
export const loadAverage = (): number => Math.round(loadavg()[0]! * 100) / 100;
