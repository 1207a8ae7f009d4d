/** A private PostgreSQL and Redis for the bench, and on them the servers that it measures, each on a database of its own. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import pg from 'pg';
import { freePort } from '../dev/services/programs.ts';
import { startRedis } from '../dev/services/redis.ts';
import { createTokens } from '../src/auth/tokens.ts';
import type { Role } from '../src/contract/auth.ts';
import { launch } from './member.ts';
import type { Member, Process } from './member.ts';
import { cpuOf, cpuOfFamily } from './measure/cpu.ts';
import type { ServerName } from './scenario.ts';
import { countStatements, startCountingPostgres } from './statements.ts';
import type { Statement } from './statements.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const START_TRIES = 3;
const SECRET = 'a-secret-of-the-bench-that-is-long-enough';

/** Seconds of CPU. */
export interface Cpu {
  /** All nodes together. */
  nodes: number;
  workers: number;
  postgres: number;
  redis: number;
}

export interface ClusterOptions {
  /** 1 when absent. */
  nodes?: number;
  /** Processes that do jobs; only the city has such. 0 when absent: its nodes run with ROLE=api. */
  workers?: number;
  env?: Record<string, string>;
  /** Given to Node itself. */
  nodeArgs?: string[];
  /** The URL of a database that an earlier cluster left; a new one when absent. */
  databaseUrl?: string;
}

/** The nodes of one server with their database. */
export interface Cluster {
  server: ServerName;
  nodes: Process[];
  workers: Process[];
  databaseUrl: string;
  redisUrl: string;
  token(userId: string, options?: { name?: string; roles?: Role[] }): Promise<string>;
  /** Makes that many rooms; their ids. */
  createRooms(count: number): Promise<string[]>;
  /** CPU used since the cluster started (of PostgreSQL and Redis: since they did); subtract two readings. */
  cpu(): Cpu;
  /** One query past the server. */
  query<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** The statements that its database runs during `work`; they cost a little more than uncounted. */
  countStatements(work: () => Promise<void>): Promise<Statement[]>;
  /** Processes that ended by themselves or reported an error; each names its process. */
  accidents(): string[];
  /** Stops the processes and drops the database, unless it shall stay for another cluster. */
  stop(options?: { keepDatabase?: boolean }): Promise<void>;
}

export interface Services {
  databaseUrl: string;
  redisUrl: string;
  start(server: ServerName, options?: ClusterOptions): Promise<Cluster>;
  stop(): Promise<void>;
}

export interface ServicesOptions {
  /** A build of the city: a folder that has `src/main.js`. `dist` when absent, built if it is not there. */
  dist?: string | undefined;
  /** False for a try: nothing is flushed to disk. */
  durable?: boolean;
  /** Given to Node for every server process, e.g. `--cpu-prof`. */
  nodeArgs?: string[];
}

/** Starts PostgreSQL and Redis, which end with this process. */
export async function startServices(options: ServicesOptions = {}): Promise<Services> {
  const { durable = true, nodeArgs = [] } = options;
  const dist = builtCity(options.dist);
  const others = join(ROOT, '.data/bench', String(process.pid));
  compile('bench/tsconfig.servers.json', '--outDir', others);
  const folder = await mkdtemp(join(tmpdir(), 'city-bench-'));
  const [postgres, redis] = await Promise.all([
    startCountingPostgres(join(folder, 'postgres'), durable),
    startRedis({ dataDir: join(folder, 'redis'), durable, log: () => {} }),
  ]);
  const pidIn = (file: string) => Number(readFileSync(join(folder, file), 'utf8').split('\n')[0]);
  const pids = { postgres: pidIn('postgres/postmaster.pid'), redis: pidIn('redis/redis.pid') };
  const admin = new pg.Pool({ connectionString: postgres.url, max: 1 });
  admin.on('error', () => {}); // PostgreSQL may be gone before the connection is
  const { sign } = createTokens({ key: { kind: 'secret', secret: SECRET } });
  const running = new Set<Cluster>();
  let databases = 0;

  const attempt = async (server: ServerName, given: ClusterOptions): Promise<Cluster> => {
    const accidents: string[] = [];
    const members: Member[] = [];
    const name = given.databaseUrl ? new URL(given.databaseUrl).pathname.slice(1) : `bench_${++databases}`;
    const databaseUrl = postgres.url.replace(/[^/]+$/, name);
    const redisClient = new Redis(redis.url);
    await redisClient.flushall();
    redisClient.disconnect();
    if (!given.databaseUrl) await admin.query(`create database ${name}`);
    // No run shall pay for what the one before it left to be written.
    await admin.query('checkpoint');

    const place = async (role: 'api' | 'worker', n: number) => {
      const [port, opsPort] = [await freePort(), await freePort()];
      const main =
        server === 'city'
          ? join(dist, 'src/main.js')
          : join(others, server === 'bare' ? 'bare.js' : 'tutorial.js');
      members.push(
        launch({
          name: `${role === 'api' ? 'node' : 'worker'}-${n} of ${server}`,
          url: role === 'api' ? `http://127.0.0.1:${port}` : '',
          opsUrl: server === 'city' ? `http://127.0.0.1:${opsPort}` : '',
          args: [...nodeArgs, ...(given.nodeArgs ?? []), '--import', join(others, 'preload.js'), main],
          accidents,
          env: {
            PATH: process.env.PATH ?? '',
            NODE_ENV: 'production',
            ROLE: role,
            PORT: String(port),
            OPS_PORT: String(opsPort),
            DATABASE_URL: databaseUrl,
            REDIS_URL: redis.url,
            JWT_SECRET: SECRET,
            RATE_LIMITS: 'off',
            LOG_LEVEL: 'warn',
            SHUTDOWN_GRACE_MS: '5000',
            ...given.env,
          },
        }),
      );
    };
    for (let n = 1; n <= (given.nodes ?? 1); n++) await place('api', n);
    for (let n = 1; n <= (server === 'city' ? (given.workers ?? 0) : 0); n++) await place('worker', n);
    const nodes = members.filter(({ url }) => url);
    const workers = members.filter(({ url }) => !url);

    let pool: pg.Pool | undefined;
    let rooms = 0;
    const query = async <Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []) => {
      pool ??= new pg.Pool({ connectionString: databaseUrl, max: 1 });
      return (await pool.query<Row>(sql, values)).rows;
    };
    const token: Cluster['token'] = async (userId, options) =>
      (await sign({ user_id: userId, ...options }, 7_200)).token;
    const cluster: Cluster = {
      server,
      nodes,
      workers,
      databaseUrl,
      redisUrl: redis.url,
      token,
      query,
      createRooms(count) {
        rooms += count;
        return createRooms[server](cluster, rooms - count, count);
      },
      cpu: () => ({
        nodes: nodes.reduce((sum, { pid }) => sum + cpuOf(pid), 0),
        workers: workers.reduce((sum, { pid }) => sum + cpuOf(pid), 0),
        postgres: cpuOfFamily(pids.postgres),
        redis: cpuOf(pids.redis),
      }),
      countStatements: (work) => countStatements(admin, name, work),
      accidents: () => accidents,
      async stop({ keepDatabase = false } = {}) {
        if (!running.delete(cluster)) return;
        await Promise.all([...members.map((member) => member.end()), pool?.end()]);
        if (!keepDatabase) await admin.query(`drop database ${name} with (force)`);
      },
    };
    running.add(cluster);
    try {
      await Promise.all(members.map((member) => member.ready()));
    } catch (error) {
      await cluster.stop({ keepDatabase: given.databaseUrl !== undefined });
      throw error;
    }
    return cluster;
  };
  /** A port that was free may be taken by the time that a server listens. */
  const start = async (server: ServerName, given: ClusterOptions = {}): Promise<Cluster> => {
    for (let tries = 1; ; tries++) {
      try {
        return await attempt(server, given);
      } catch (error) {
        if (tries === START_TRIES || !String(error).includes('EADDRINUSE')) throw error;
      }
    }
  };

  return {
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    start,
    async stop() {
      await Promise.all([...running].map((cluster) => cluster.stop()));
      await admin.end();
      await Promise.all([postgres.stop(), redis.stop()]);
      await Promise.all([folder, others].map((each) => rm(each, { recursive: true, force: true })));
    },
  };
}

function compile(...args: string[]): void {
  const { status, stdout } = spawnSync('node_modules/.bin/tsc', ['-p', ...args], { cwd: ROOT });
  if (status !== 0) throw new Error(`the build failed:\n${String(stdout)}`);
}

/** The absolute path of the city's build. */
function builtCity(given = 'dist'): string {
  const dist = resolve(ROOT, given);
  if (existsSync(join(dist, 'src/main.js'))) return dist;
  if (given !== 'dist') throw new Error(`${dist} holds no build of the city`);
  compile('tsconfig.build.json');
  return dist;
}

type CreateRooms = (cluster: Cluster, first: number, count: number) => Promise<string[]>;

/** How each server is given rooms, numbered from `first`. */
const createRooms: Record<ServerName, CreateRooms> = {
  async bare(_, first, count) {
    return Array.from({ length: count }, (_, n) => `room_city_bench-${first + n}`);
  },
  async tutorial({ query }, first, count) {
    const rows = await query<{ id: string }>(
      `insert into rooms (id, name) select 'room_city_bench-' || n, 'Room ' || n from generate_series($1::int, $1::int + $2::int - 1) n
       returning id`,
      [first, count],
    );
    return rows.map(({ id }) => id);
  },
  async city({ nodes, token }, first, count) {
    const authorization = `Bearer ${await token('u_bench_founder', { roles: ['admin'] })}`;
    const ids: string[] = [];
    for (let n = first; n < first + count; n++) {
      const response = await fetch(`${nodes[0]!.url}/city/rooms`, {
        method: 'POST',
        headers: { authorization, 'content-type': 'application/json' },
        body: JSON.stringify({ name: `Room ${n}`, slug: `bench-${n}` }),
      });
      if (response.status !== 201) throw new Error(`a room was not made: ${await response.text()}`);
      ids.push(((await response.json()) as { id: string }).id);
    }
    return ids;
  },
};
