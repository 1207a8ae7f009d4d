/** `npm run dev [-- --nodes N]`: the whole city on one machine; one Ctrl-C stops all of it. */
import { join, resolve } from 'node:path';
import { startAgentsCore } from './agents-core.ts';
import { announcement } from './announce.ts';
import { exitWrong, readOptions } from './arguments.ts';
import { runToEnd, startNode, untilReady, type Environment } from './children.ts';
import { developmentSecret } from './development-token.ts';
import { buildPage } from './page.ts';
import { portsOf, type Ports } from './ports.ts';
import { startPostgres } from './services/postgres.ts';
import { startRedis } from './services/redis.ts';

const ROOT = resolve(import.meta.dirname, '..');
const DATA = join(ROOT, '.data');
const NODES_MAX = 16;

const given = (name: string) => process.env[name] || undefined;
const log = (line: string) => console.log(`dev | ${line}`);

/** What is to be stopped, in the order it was started. */
const started: (() => Promise<unknown>)[] = [];
let ending = false;

/** Stops everything, last started first, and exits; only the first call counts. */
async function end(reason: string, code: number): Promise<void> {
  if (ending) return;
  ending = true;
  if (started.length === 0) {
    console.error(reason);
    process.exit(code);
  }
  log(`${reason}; stopping`);
  for (const stop of started.reverse()) {
    await stop().catch((error: unknown) => log(`while stopping: ${(error as Error).message}`));
  }
  log('stopped');
  process.exit(code);
}

interface Part {
  url: string;
  ended?: Promise<string>;
  stop(): Promise<void>;
}

/** The URL that `variable` holds, else that of the part which `start` starts. */
async function provide(variable: string, start: () => Promise<Part>): Promise<string> {
  const url = given(variable);
  if (url) {
    log(`${variable} is set: using what it names`);
    return url;
  }
  const part = await start();
  started.push(() => part.stop());
  void part.ended?.then((lastWords) => end(lastWords, 1));
  return part.url;
}

async function prepareDatabase(url: string): Promise<void> {
  for (const step of ['migrate', 'seed']) {
    const failure = await runToEnd(ROOT, ['--import', 'tsx', 'src/storage.ts', step], { DATABASE_URL: url });
    if (failure !== undefined) throw new Error(`"npm run ${step}" failed:\n${failure}`);
  }
  log('database migrated and seeded');
}

/** Starts all nodes at once and waits until every one is ready. A node that ends by itself ends the whole city. */
async function startNodes(ports: Ports[], env: Environment): Promise<void> {
  const graceS = Math.ceil(Number(given('SHUTDOWN_GRACE_MS') ?? 25_000) / 1000) + 2;
  const nodes = ports.map(({ port, opsPort }, i) => {
    const name = `city-${i + 1}`;
    return startNode({
      root: ROOT,
      name,
      port,
      env: { ...env, OPS_PORT: String(opsPort) },
      graceS,
      onLine: (line) => console.log(ports.length > 1 ? `${name} | ${line}` : line),
    });
  });
  started.push(() => Promise.all(nodes.map((node) => node.process.stop())));
  for (const { name, process } of nodes) {
    void process.ended.then(({ code }) => end(`${name} ended by itself (exit code ${code ?? 'none'})`, 1));
  }
  await Promise.all(nodes.map(untilReady));
}

async function startCity(count: number): Promise<void> {
  const ports = await portsOf(count);
  const urls = {
    DATABASE_URL: await provide('DATABASE_URL', () =>
      startPostgres({ dataDir: join(DATA, 'postgres'), durable: true, log }),
    ),
    REDIS_URL: await provide('REDIS_URL', () =>
      startRedis({ dataDir: join(DATA, 'redis'), durable: true, log }),
    ),
    AGENTS_SERVICE_URL: await provide('AGENTS_SERVICE_URL', async () => {
      const core = await startAgentsCore();
      log(`stand-in Agents Core on ${core.url}`);
      return core;
    }),
  };
  await prepareDatabase(urls.DATABASE_URL);
  await buildPage(ROOT, log);

  const signs = !given('JWT_JWKS_URL') && !given('JWT_PUBLIC_KEY');
  await startNodes(ports, {
    ...urls,
    NODE_ENV: given('NODE_ENV') ?? 'development',
    ROLE: 'all',
    ...(signs && { JWT_SECRET: developmentSecret() }),
  });
  const own = Object.entries(urls).filter(([name]) => !given(name)); // a given one may hold a password
  console.log(await announcement(ports, Object.fromEntries(own), signs));
}

/** A killed npm says nothing: that it is gone shows in our parent, which is another one then. */
function endWithParent(): void {
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && void end('npm has gone', 0), 1_000).unref();
}

const { nodes } = readOptions({ nodes: { type: 'string', default: '1' } });
if (!/^\d+$/.test(nodes) || Number(nodes) < 1 || Number(nodes) > NODES_MAX) {
  exitWrong(`--nodes must be a number from 1 to ${NODES_MAX}`);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void end(signal, 0));
if (given('npm_lifecycle_event')) endWithParent();
await startCity(Number(nodes)).catch((error: unknown) => end((error as Error).message, 1));
