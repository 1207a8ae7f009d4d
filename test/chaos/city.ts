/** A city of real processes from the build, on services of its own, with one proxy on every edge between them. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '../../dev/services/postgres.ts';
import { freePort } from '../../dev/services/programs.ts';
import type { Service } from '../../dev/services/programs.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { createTokens } from '../../src/auth/tokens.ts';
import type { Role } from '../../src/contract/auth.ts';
import { startProxy } from '../support/proxy.ts';
import type { Proxy } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import { startFakeAgents } from './agents.ts';
import type { FakeAgents } from './agents.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PRELOAD = fileURLToPath(new URL('preload.mjs', import.meta.url));
const SECRET = 'a-secret-of-the-chaos-that-is-long-enough';
const READY_MS = 30_000;
/** What no process may ever print. */
const ACCIDENT = /unhandledRejection|uncaughtException|"level":"fatal"|FATAL ERROR/;

/** A node or a worker. */
export interface Member {
  name: string;
  /** Where its clients find it; '' for a worker. */
  url: string;
  /** Health and metrics. */
  opsUrl: string;
  /** Its own lines to what it depends on. */
  edges: { postgres: Proxy; redis: Proxy; agents: Proxy };
  pid(): number;
  /** Everything it printed, over all its starts. */
  output(): string;
  /** Starts it (again) with the same settings; resolves when it is ready. */
  start(): Promise<void>;
  /** An exit that is meant; resolves with the exit code (null for a signal) when the process is gone. */
  kill(signal: NodeJS.Signals): Promise<number | null>;
  /** Stops the process where it stands, and lets it go on. */
  freeze(): void;
  thaw(): void;
  /** Keeps its event loop busy. */
  block(ms: number): void;
  /** Sets its wall clock `ms` ahead of the truth; 0 sets it right. */
  shiftClock(ms: number): void;
  /** What it holds, after a garbage collection if the city was started with `--expose-gc`. */
  inspect(): Promise<Holdings>;
}

export interface Holdings {
  heapBytes: number;
  rssBytes: number;
  /** Open handles by kind: sockets, timers, … */
  resources: Record<string, number>;
}

/** A service that can be killed and started again on the same port with the same data. */
interface Killable {
  dataDir: string;
  pid(): number;
  kill(signal: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
}

export interface ChaosCity {
  nodes: Member[];
  workers: Member[];
  agents: FakeAgents;
  /** Past the proxies. */
  databaseUrl: string;
  redisUrl: string;
  postgres: Killable;
  redis: Killable;
  token(userId: string, options?: { name?: string; roles?: Role[]; lifetimeS?: number }): Promise<string>;
  /** Exits that nobody asked for, and lines that no process may print; each names its process. */
  accidents(): string[];
  stop(): Promise<void>;
}

export interface ChaosCityOptions {
  nodes?: number;
  workers?: number;
  /** Added to the settings of every process. */
  env?: Record<string, string>;
  /** Given to Node itself. */
  nodeArgs?: string[];
  /** Another build than `dist/`: a folder that has `src/main.js`. */
  dist?: string;
  /** Where PostgreSQL keeps its data, when the folder of the run will not do. */
  postgresDir?: string;
}

/** Starts services, nodes and workers; all ready when it resolves. Everything ends with this process. */
export async function startChaosCity(options: ChaosCityOptions = {}): Promise<ChaosCity> {
  const { nodes = 3, workers = 2, env = {}, dist = join(ROOT, 'dist'), nodeArgs = [] } = options;
  const folder = await mkdtemp(join(tmpdir(), 'city-chaos-'));
  const accidents: string[] = [];
  const members: Member[] = [];
  const [postgres, redis, agents] = await Promise.all([
    killable(options.postgresDir ?? join(folder, 'postgres'), 'postmaster.pid', startPostgres),
    killable(join(folder, 'redis'), 'redis.pid', startRedis),
    startFakeAgents(),
  ]);
  const { sign } = createTokens({ key: { kind: 'secret', secret: SECRET } });

  const shared = {
    PATH: process.env.PATH ?? '',
    NODE_ENV: 'production',
    JWT_SECRET: SECRET,
    RATE_LIMITS: 'off',
    LOG_LEVEL: 'info',
    SHUTDOWN_GRACE_MS: '15000',
    ...env,
  };
  const place = async (name: string, role: 'api' | 'worker') => {
    const edges = {
      postgres: await startProxy(postgres.port),
      redis: await startProxy(redis.port),
      agents: await startProxy(Number(new URL(agents.url).port)),
    };
    const [port, opsPort] = [await freePort(), await freePort()];
    members.push(
      createMember({
        name,
        dist,
        nodeArgs,
        edges,
        url: role === 'api' ? `http://127.0.0.1:${port}` : '',
        opsUrl: `http://127.0.0.1:${opsPort}`,
        accidents,
        env: {
          ...shared,
          ROLE: role,
          PORT: String(port),
          OPS_PORT: String(opsPort),
          DATABASE_URL: through(postgres.url, edges.postgres),
          REDIS_URL: through(redis.url, edges.redis),
          AGENTS_SERVICE_URL: through(agents.url, edges.agents),
        },
      }),
    );
  };
  for (let n = 1; n <= nodes; n++) await place(`node-${n}`, 'api');
  for (let n = 1; n <= workers; n++) await place(`worker-${n}`, 'worker');

  const stop = async () => {
    for (const { edges } of members) for (const edge of Object.values(edges)) edge.pass();
    await Promise.all(members.map((member) => member.kill('SIGKILL')));
    await Promise.all(members.flatMap(({ edges }) => Object.values(edges)).map((edge) => edge.close()));
    await Promise.all([postgres.end(), redis.end(), agents.stop()]);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all(members.map((member) => member.start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    nodes: members.slice(0, nodes),
    workers: members.slice(nodes),
    agents,
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    postgres,
    redis,
    token: async (userId, { lifetimeS = 7_200, ...given } = {}) =>
      (await sign({ user_id: userId, ...given }, lifetimeS)).token,
    accidents: () => accidents,
    stop,
  };
}

const through = (url: string, { port }: Proxy) =>
  Object.assign(new URL(url), { port: String(port) }).href.replace(/\/$/, '');

type StartService = (options: {
  dataDir: string;
  port?: number;
  durable: boolean;
  log: (line: string) => void;
}) => Promise<Service>;

async function killable(dataDir: string, pidFile: string, launch: StartService) {
  const options = { dataDir, durable: true, log: () => {} };
  let service = await launch(options);
  const { url, port } = service;
  const pid = () => Number(readFileSync(join(dataDir, pidFile), 'utf8').split('\n')[0]);
  return {
    dataDir,
    url,
    port,
    pid,
    async kill(signal: NodeJS.Signals) {
      process.kill(pid(), signal);
      await service.ended;
    },
    async start() {
      service = await launch({ ...options, port });
    },
    end: () => service.stop(),
  };
}

interface MemberSettings extends Pick<Member, 'name' | 'url' | 'opsUrl' | 'edges'> {
  dist: string;
  nodeArgs: string[];
  env: Record<string, string>;
  /** Where it reports what must never happen. */
  accidents: string[];
}

function createMember(settings: MemberSettings): Member {
  const { name, url, opsUrl, edges, dist, nodeArgs, env, accidents } = settings;
  let child: ChildProcess | undefined;
  let exit: Promise<number | null> = Promise.resolve(null);
  let meant = false;
  let output = '';

  const hear = (piece: Buffer) => {
    output += String(piece);
    const accident =
      ACCIDENT.test(String(piece)) &&
      String(piece)
        .split('\n')
        .find((line) => ACCIDENT.test(line));
    if (accident) accidents.push(`${name}: ${accident.slice(0, 400)}`);
  };
  const launch = () => {
    meant = false;
    const own = spawn(process.execPath, [...nodeArgs, '--import', PRELOAD, join(dist, 'src/main.js')], {
      env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    child = own;
    own.stdout!.on('data', hear);
    own.stderr!.on('data', hear);
    exit = once(own, 'exit').then(([code, signal]) => {
      if (!meant) accidents.push(`${name}: ended by itself with ${code ?? signal}`);
      return code as number | null;
    });
  };
  const running = () => child !== undefined && child.exitCode === null && child.signalCode === null;
  const tell = (message: object) => void (running() && child!.send(message));

  return {
    name,
    url,
    opsUrl,
    edges,
    pid: () => child!.pid!,
    output: () => output,
    async start() {
      launch();
      const ready = () =>
        fetch(`${opsUrl}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        );
      await until(async () => !running() || ready(), `${name} ready`, READY_MS).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${output.slice(-4_000)}`);
      });
      if (!running()) throw new Error(`${name} ended while starting:\n${output.slice(-4_000)}`);
    },
    async kill(signal) {
      meant = true;
      const ran = running();
      if (ran) child!.kill(signal);
      const code = await exit;
      if (ran && signal === 'SIGTERM' && code !== 0)
        accidents.push(`${name}: was asked to stop and ended with ${code}`);
      return code;
    },
    freeze: () => void child!.kill('SIGSTOP'),
    thaw: () => void child!.kill('SIGCONT'),
    block: (ms) => tell({ block: ms }),
    shiftClock: (ms) => tell({ shift: ms }),
    async inspect() {
      const answer = once(child!, 'message');
      tell({ inspect: true });
      return (await answer)[0] as Holdings;
    },
  };
}
