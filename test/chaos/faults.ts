/** The faults: each strikes a running city and returns what heals it. */
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Direction } from '../support/proxy.ts';
import { until } from '../support/until.ts';
import type { ChaosCity, Member } from './city.ts';

/** Undoes a fault; resolves when the city has everything back that it had. */
type Heal = () => Promise<void>;

export interface FaultContext {
  city: ChaosCity;
  random: () => number;
  /** A node (or worker) that no other fault has at the moment; it is kept until the heal. */
  node(): Member;
  worker(): Member;
  /** Resolves after `ms`. */
  pause(ms: number): Promise<void>;
}

export interface Fault {
  id: string;
  name: string;
  /** How long it lasts, seconds: in CI, and by default. */
  lasts: { smoke: number; full: number };
  /** What there is one of, and this fault takes; faults that take the same do not overlap. */
  takes?: 'redis' | 'postgres';
  strike(context: FaultContext): Promise<Heal>;
}

const SHORT = { smoke: 6, full: 20 };
const HELD_WITHIN_MS = 8_000;

/** Makes Agents Core hold its calls, and resolves when it holds one of `worker`, if there is one to come. */
async function holdCallOf(worker: Member, { agents }: ChaosCity): Promise<void> {
  agents.mode('hang');
  const { port } = worker.edges.agents;
  const isHeld = () => agents.held().some(({ host }) => host.endsWith(`:${port}`));
  await until(isHeld, `a call of ${worker.name}`, HELD_WITHIN_MS).catch(() => {}); // nobody asks it anything
}

/** Runs `step` over and over until the heal. */
function repeatedly(step: () => Promise<void>): () => Promise<void> {
  let going = true;
  const run = (async () => {
    while (going) await step();
  })();
  return async () => {
    going = false;
    await run;
  };
}

const blackhole = (edge: 'redis' | 'postgres', ...directions: Direction[]) => {
  return async ({ node }: FaultContext): Promise<Heal> => {
    const { edges } = node();
    edges[edge].blackhole(...directions);
    return async () => edges[edge].pass();
  };
};

async function withPostgres(city: ChaosCity, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: city.databaseUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

export const FAULTS: Fault[] = [
  {
    id: 'F1',
    name: 'a node is killed (SIGKILL)',
    lasts: SHORT,
    async strike({ node }) {
      const victim = node();
      await victim.kill('SIGKILL');
      return () => victim.start();
    },
  },
  {
    id: 'F2',
    name: 'a node and a worker are frozen (SIGSTOP)',
    lasts: { smoke: 11, full: 20 },
    async strike({ city, node, worker, pause }) {
      const [frozenNode, frozenWorker] = [node(), worker()];
      // The worker freezes over a call, and another finishes it before it wakes up.
      await holdCallOf(frozenWorker, city);
      for (const member of [frozenNode, frozenWorker]) member.freeze();
      return async () => {
        city.agents.mode('ok');
        await city.agents.release();
        await pause(1_500);
        for (const member of [frozenNode, frozenWorker]) member.thaw();
      };
    },
  },
  {
    id: 'F3',
    name: 'Redis is killed (SIGKILL) and comes back',
    lasts: { smoke: 8, full: 60 },
    takes: 'redis',
    async strike({ city }) {
      await city.redis.kill('SIGKILL');
      return () => city.redis.start();
    },
  },
  {
    id: 'F3-long',
    name: 'Redis is away for two minutes',
    lasts: { smoke: 0, full: 120 },
    takes: 'redis',
    async strike({ city }) {
      await city.redis.kill('SIGKILL');
      return () => city.redis.start();
    },
  },
  {
    id: 'F3-wiped',
    name: 'Redis is wiped (FLUSHALL)',
    lasts: { smoke: 4, full: 10 },
    takes: 'redis',
    async strike({ city }) {
      const redis = new Redis(city.redisUrl);
      await redis.flushall();
      redis.disconnect();
      return async () => {};
    },
  },
  {
    id: 'F4-both',
    name: 'node↔Redis blackholed both ways',
    lasts: SHORT,
    strike: blackhole('redis'),
  },
  {
    id: 'F4-to',
    name: 'node→Redis blackholed one way',
    lasts: SHORT,
    strike: blackhole('redis', 'to_service'),
  },
  {
    id: 'F4-from',
    name: 'Redis→node blackholed one way',
    lasts: SHORT,
    strike: blackhole('redis', 'to_client'),
  },
  {
    id: 'F4-flap',
    name: 'node↔Redis flaps: reset, refused, served',
    lasts: SHORT,
    async strike({ node, random, pause }) {
      const { redis } = node().edges;
      const end = repeatedly(async () => {
        redis.refuse();
        await pause(100 + random() * 400);
        redis.pass();
        await pause(100 + random() * 900);
      });
      return async () => {
        await end();
        redis.pass();
      };
    },
  },
  {
    id: 'F5',
    name: 'PostgreSQL stops immediately and is started again',
    lasts: { smoke: 3, full: 10 },
    takes: 'postgres',
    async strike({ city }) {
      await city.postgres.kill('SIGQUIT');
      return () => city.postgres.start();
    },
  },
  {
    id: 'F6-hole',
    name: 'node↔PostgreSQL blackholed',
    lasts: SHORT,
    strike: blackhole('postgres'),
  },
  {
    id: 'F6-cut',
    name: 'connections cut after the bytes of a commit have left',
    lasts: SHORT,
    async strike({ node, random, pause }) {
      const { postgres } = node().edges;
      const end = repeatedly(async () => {
        await Promise.race([postgres.cutAfter(1 + Math.floor(random() * 3_000)), pause(1_000)]);
        await pause(50 + random() * 300);
      });
      return end;
    },
  },
  {
    id: 'F7',
    name: 'a worker is killed (SIGKILL) in mid-call',
    lasts: { smoke: 9, full: 20 },
    async strike({ city, worker }) {
      const victim = worker();
      await holdCallOf(victim, city);
      await victim.kill('SIGKILL');
      city.agents.mode('ok');
      await city.agents.release();
      return () => victim.start();
    },
  },
  {
    id: 'F9',
    name: 'PostgreSQL is read-only',
    lasts: { smoke: 4, full: 20 },
    takes: 'postgres',
    async strike({ city }) {
      await withPostgres(city, 'alter system set default_transaction_read_only = on');
      await withPostgres(city, 'select pg_reload_conf()');
      return async () => {
        await withPostgres(city, 'alter system reset default_transaction_read_only');
        await withPostgres(city, 'select pg_reload_conf()');
      };
    },
  },
  {
    id: 'F10',
    name: 'one clock ten minutes ahead, one ten behind',
    lasts: SHORT,
    async strike({ node }) {
      const [ahead, behind] = [node(), node()];
      ahead.shiftClock(600_000);
      behind.shiftClock(-600_000);
      return async () => {
        for (const member of [ahead, behind]) member.shiftClock(0);
      };
    },
  },
  {
    id: 'F11',
    name: 'every node is restarted in turn (SIGTERM)',
    lasts: { smoke: 1, full: 1 },
    async strike({ city, node }) {
      for (const _ of city.nodes) {
        const leaving = node();
        await leaving.kill('SIGTERM');
        await leaving.start();
      }
      return async () => {};
    },
  },
  {
    id: 'F12',
    name: 'an event loop is blocked for 5 s',
    lasts: { smoke: 5, full: 5 },
    async strike({ node }) {
      node().block(5_000);
      return async () => {};
    },
  },
];
