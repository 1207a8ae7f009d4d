/** Scenario 4, connections: how fast they come in, what each holds while it is idle, and what it writes. */
import pg from 'pg';
import type { ConnectionsLoad } from '../load/connections.ts';
import { startGenerator } from '../load/generator.ts';
import type { Generator } from '../load/generator.ts';
import type { RunContext, RunResult, Scenario } from '../scenario.ts';
import type { Cluster } from '../services.ts';
import type { Statement } from '../statements.ts';

const LOAD = new URL('../load/connections.ts', import.meta.url);
const NAMESPACES = ['/rooms', '/presence'];
const COUNT = { full: 10_000, smoke: 20 };
const KNOWN = { full: 1_000, smoke: 20 };
const GENERATORS = { full: 2, smoke: 1 };
/** By each generator process. */
const AT_ONCE = 50;

type Crowd = Generator<ConnectionsLoad>[];

/** Processes with the connections of users 0 to `count` − 1 in both namespaces, not yet opened. */
async function crowd(cluster: Cluster, count: number, processes: number): Promise<Crowd> {
  const clients = await Promise.all(
    Array.from({ length: count }, async (_, n) => ({
      url: cluster.nodes[n % cluster.nodes.length]!.url,
      token: await cluster.token(`u_bench_${n}`, { name: `Bench ${n}` }),
    })),
  );
  return Promise.all(
    Array.from({ length: processes }, (_, part) =>
      startGenerator<ConnectionsLoad>(LOAD, {
        clients: clients.filter((_client, n) => n % processes === part),
        namespaces: NAMESPACES,
      }),
    ),
  );
}

/** Opens them all; the seconds until the last was in. */
async function open(generators: Crowd) {
  const parts = await Promise.all(generators.map(({ call }) => call('connect', { atOnce: AT_ONCE })));
  return {
    seconds: Math.max(...parts.map(({ seconds }) => seconds)),
    retries: parts.reduce((sum, { retries }) => sum + retries, 0),
  };
}

const end = (generators: Crowd) => Promise.all(generators.map((generator) => generator.stop()));

async function idle({ server, size, services }: RunContext): Promise<RunResult> {
  const cluster = await services.start(server, { nodeArgs: ['--expose-gc'] });
  let generators: Crowd = [];
  try {
    const [node] = cluster.nodes;
    const count = COUNT[size];
    generators = await crowd(cluster, count, GENERATORS[size]);
    const empty = await node!.memory();
    const cpuBefore = cluster.cpu();
    const { seconds, retries } = await open(generators);
    const cpuAfter = cluster.cpu();
    const full = await node!.memory();
    const problems = (await Promise.all(generators.map(({ call }) => call('verify')))).flat();
    return {
      figures: {
        connects_per_s: count / seconds,
        node_cpu_per_connect: ((cpuAfter.nodes - cpuBefore.nodes) / count) * 1e6,
        postgres_cpu_per_connect: ((cpuAfter.postgres - cpuBefore.postgres) / count) * 1e6,
        redis_cpu_per_connect: ((cpuAfter.redis - cpuBefore.redis) / count) * 1e6,
        resident_per_connection: (full.residentBytes - empty.residentBytes) / count,
        heap_per_connection: (full.heapBytes - empty.heapBytes) / count,
        sent_away: retries,
      },
      problems: [...problems, ...cluster.accidents()],
    };
  } finally {
    await end(generators);
    await cluster.stop();
  }
}

/** Rows inserted, updated or deleted in a database that no server uses: every backend has reported what it did. */
async function rowsWritten(databaseUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ written: string }>(
      'select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) written from pg_stat_user_tables',
    );
    return Number(rows[0]!.written);
  } finally {
    await client.end();
  }
}

/** Connects users whom the database knows to a node that does not: what that writes, and what it asks. */
async function known({ server, size, services }: RunContext): Promise<RunResult> {
  const count = KNOWN[size];
  let databaseUrl: string | undefined;
  /** Starts a node, connects everybody if asked to, stops it; the rows that this wrote. */
  const once = async (connects: boolean) => {
    const cluster = await services.start(server, databaseUrl === undefined ? {} : { databaseUrl });
    const before = databaseUrl === undefined ? 0 : await rowsWritten(cluster.databaseUrl);
    databaseUrl = cluster.databaseUrl;
    const problems: string[] = [];
    let statements: Statement[] = [];
    if (connects) {
      const generators = await crowd(cluster, count, 1);
      statements = await cluster.countStatements(async () => {
        await open(generators);
        problems.push(...(await generators[0]!.call('verify')));
      });
      await end(generators);
    }
    problems.push(...cluster.accidents());
    await cluster.stop({ keepDatabase: true });
    return { written: (await rowsWritten(databaseUrl)) - before, statements, problems };
  };
  const fresh = await once(true);
  const empty = await once(false);
  const again = await once(true);
  const cluster = await services.start(server, { databaseUrl: databaseUrl! });
  await cluster.stop(); // drops the database
  const writes = again.written - empty.written;
  return {
    figures: {
      rows_written: writes,
      rows_written_per_new_user: (fresh.written - empty.written) / count,
      statements_per_connect: again.statements.reduce((sum, { calls }) => sum + calls, 0) / count,
    },
    problems: [...fresh.problems, ...empty.problems, ...again.problems],
  };
}

export const connections: Scenario = {
  name: 'connections',
  about: 'authenticated connections in both namespaces, one node',
  trials: [
    {
      name: 'idle-10000',
      about:
        '10,000 users connect to /rooms and /presence, 100 at a time, and stay; memory after a forced settle',
      servers: ['bare', 'tutorial', 'city'],
      figures: {
        connects_per_s: '1/s',
        resident_per_connection: 'bytes',
        heap_per_connection: 'bytes',
        node_cpu_per_connect: 'µs of CPU',
        postgres_cpu_per_connect: 'µs of CPU',
        redis_cpu_per_connect: 'µs of CPU',
        sent_away: 'refused handshakes that came again',
      },
      goals: [
        { figure: 'resident_per_connection', over: 'bare', atMost: 1.25 },
        { figure: 'connects_per_s', over: 'tutorial', atLeast: 2 },
        { figure: 'connects_per_s', over: 'bare', atLeast: 0.8 },
      ],
      run: idle,
    },
    {
      name: 'known-users',
      about:
        '1,000 users whom the database knows connect to a node that has just started; rows written beyond those of the start',
      servers: ['city'],
      runs: 1,
      figures: {
        rows_written: 'rows',
        rows_written_per_new_user: 'rows',
        statements_per_connect: '',
      },
      goals: [{ figure: 'rows_written', atMost: 0 }],
      run: known,
    },
  ],
};
