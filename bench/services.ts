/** A private PostgreSQL and Redis for the bench, and on them the servers that it measures, each on a database of its own. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { appendFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import pg from 'pg';
import { startPostgres } from '../dev/services/postgres.ts';
import { freePort } from '../dev/services/programs.ts';
import type { Service } from '../dev/services/programs.ts';
import { startRedis } from '../dev/services/redis.ts';
import { createTokens } from '../src/auth/tokens.ts';
import type { Role } from '../src/contract/auth.ts';
import { until } from '../test/support/until.ts';
import { cpuOf, cpuOfFamily } from './measure/cpu.ts';
import type { ServerName } from './scenario.ts';
import type { Memory } from './servers/preload.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SECRET = 'a-secret-of-the-bench-that-is-long-enough';
const READY_MS = 30_000;
const STOP_MS = 10_000;
/** Levels of the city's log, and what a process of Node says when something is wrong with it. */
const ACCIDENT = /"level":"(error|fatal)"|unhandledRejection|uncaughtException|\bat .*:\d+:\d+/;

/** A node or a worker. */
export interface Process {
  name: string;
  /** Where its clients find it; '' for a worker. */
  url: string;
  /** Metrics of a process of the city; '' for the others. */
  opsUrl: string;
  pid: number;
  /** Everything it printed. */
  output(): string;
  /** What it holds after a garbage collection; only if started with `--expose-gc`. */
  memory(): Promise<Memory>;
}

/** Seconds of CPU. */
export interface Cpu {
  /** All nodes together. */
  nodes: number;
  workers: number;
  postgres: number;
  redis: number;
}

/** One statement of SQL, as often as it ran. */
export interface Statement {
  query: string;
  calls: number;
  rows: number;
  /** What it wrote to the log of PostgreSQL, bytes: 0 for one that only read. */
  walBytes: number;
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
  const { sign } = createTokens({ key: { kind: 'secret', secret: SECRET } });
  const running = new Set<Cluster>();
  let databases = 0;

  const start = async (server: ServerName, given: ClusterOptions = {}): Promise<Cluster> => {
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
      await cluster.stop();
      throw error;
    }
    return cluster;
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

/** PostgreSQL with pg_stat_statements loaded and off; where its binaries do not have it, without. */
async function startCountingPostgres(dataDir: string, durable: boolean): Promise<Service> {
  const options = { dataDir, durable, log: () => {} };
  const first = await startPostgres(options);
  const once = async (url: string, sql: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return client.query(sql).finally(() => client.end());
  };
  const found = await once(
    first.url,
    `select from pg_available_extensions where name = 'pg_stat_statements'`,
  );
  if (found.rowCount === 0) return first;
  await first.stop();
  await appendFile(
    join(dataDir, 'postgresql.conf'),
    `\nshared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track = none\n`,
  );
  const postgres = await startPostgres(options);
  await once(postgres.url, 'create extension pg_stat_statements');
  return postgres;
}

async function countStatements(
  admin: pg.Pool,
  database: string,
  work: () => Promise<void>,
): Promise<Statement[]> {
  const track = async (value: string) => {
    await admin.query(`alter system set pg_stat_statements.track = ${value}`);
    await admin.query('select pg_reload_conf()');
  };
  await track('top');
  await admin.query('select pg_stat_statements_reset()');
  try {
    await work();
    const { rows } = await admin.query<Record<'query' | 'calls' | 'rows' | 'wal_bytes', string>>(
      `select query, calls, rows, wal_bytes from pg_stat_statements s
       join pg_database d on d.oid = s.dbid where d.datname = $1 order by calls desc`,
      [database],
    );
    return rows.map(({ query, calls, rows, wal_bytes }) => ({
      query,
      calls: Number(calls),
      rows: Number(rows),
      walBytes: Number(wal_bytes),
    }));
  } finally {
    await track('none');
  }
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

interface Member extends Process {
  ready(): Promise<void>;
  end(): Promise<void>;
}

interface LaunchSettings extends Pick<Process, 'name' | 'url' | 'opsUrl'> {
  args: string[];
  env: Record<string, string>;
  accidents: string[];
}

function launch({ name, url, opsUrl, args, env, accidents }: LaunchSettings): Member {
  const child: ChildProcess = spawn(process.execPath, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let meant = false;
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (piece: Buffer) => {
      output += String(piece);
      if (ACCIDENT.test(String(piece))) accidents.push(`${name}: ${String(piece).trim().slice(0, 400)}`);
    });
  }
  const exit = once(child, 'exit').then(([code, signal]) => {
    if (!meant) accidents.push(`${name} ended by itself with ${String(code ?? signal)}`);
  });
  const running = () => child.exitCode === null && child.signalCode === null;
  return {
    name,
    url,
    opsUrl,
    pid: child.pid!,
    output: () => output,
    async memory() {
      const answer = once(child, 'message');
      child.send({ memory: true });
      return (await answer)[0] as Memory;
    },
    async ready() {
      const healthy = () =>
        fetch(`${url || opsUrl}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        );
      const up = until(async () => !running() || (await healthy()), `${name} ready`, READY_MS);
      await up.catch((error: unknown) => {
        throw new Error(`${String(error)}\n${output.slice(-4_000)}`);
      });
      if (!running()) throw new Error(`${name} ended while starting:\n${output.slice(-4_000)}`);
    },
    async end() {
      meant = true;
      if (running()) child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await exit;
      clearTimeout(killer);
    },
  };
}
