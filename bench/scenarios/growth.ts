/** Scenario 8, growth: what a message costs while one thing about the city grows and the rest stays. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fillHistory, fillMembers, fillRooms, roomId, userId, withClient } from '../fill.ts';
import { startGenerator } from '../load/generator.ts';
import type { ManyRoomsLoad, ManyRoomsOptions } from '../load/many-rooms.ts';
import { exponent } from '../measure/exponent.ts';
import { summarise } from '../measure/medians.ts';
import type { Goal, RunContext, RunResult, Scenario, Trial } from '../scenario.ts';
import type { Cluster, Cpu } from '../services.ts';

const LOAD = new URL('../load/many-rooms.ts', import.meta.url);
const WINDOWS = {
  full: { warmMs: 1_500, measureMs: 2_500, windows: 3, readers: 20 },
  smoke: { warmMs: 50, measureMs: 150, windows: 1, readers: 4 },
};
/** To each node. */
const SENDERS = 50;
/** Rooms that are sent to while something else grows. */
const ROOMS = 100;

/** Of whom a cost is: of everything, and of its parts, above what they cost at rest; and what that is. */
const PARTS = ['all', 'nodes', 'postgres', 'redis', 'rest'] as const;
const UNITS = {
  all: 'µs of CPU a message',
  nodes: 'µs of CPU a message',
  postgres: 'µs of CPU a message',
  redis: 'µs of CPU a message',
  rest: 'µs of CPU a second, at rest',
};

interface Cost {
  size: number;
  /** µs of CPU a message, of everything and of the parts; the median of the windows. */
  all: number;
  nodes: number;
  postgres: number;
  redis: number;
  /** µs of CPU a second while everybody is connected and nobody says anything. */
  rest: number;
}

/** Cores that were busy. */
const since = (now: Cpu, then: Cpu, seconds: number): Cpu => ({
  nodes: (now.nodes - then.nodes) / seconds,
  workers: (now.workers - then.workers) / seconds,
  postgres: (now.postgres - then.postgres) / seconds,
  redis: (now.redis - then.redis) / seconds,
});

/** What a message costs into the first `rooms` rooms of a cluster that is filled. */
async function measure(
  cluster: Cluster,
  size: number,
  rooms: number,
  context: RunContext,
  problems: string[],
): Promise<Cost> {
  const { warmMs, measureMs, windows, readers } = WINDOWS[context.size];
  const connection = async (i: number) => ({
    url: cluster.nodes[i % cluster.nodes.length]!.url,
    token: await cluster.token(userId(i), { name: `Bench ${i}` }),
  });
  const many = (count: number) => Promise.all(Array.from({ length: count }, (_, i) => connection(i)));
  const generator = await startGenerator<ManyRoomsLoad>(LOAD, {
    rooms: Array.from({ length: rooms }, (_, i) => roomId(i)),
    senders: await many(SENDERS * cluster.nodes.length),
    readers: await many(Math.min(rooms, readers)),
  } satisfies ManyRoomsOptions);
  try {
    await generator.call('connect');
    await generator.call('run', { ms: warmMs });
    const costs: Omit<Cost, 'size' | 'rest'>[] = [];
    const calm = cluster.cpu();
    await sleep(measureMs);
    const rest = since(cluster.cpu(), calm, measureMs / 1e3);
    for (let n = 0; n < windows; n++) {
      const before = cluster.cpu();
      const { acked, seconds } = await generator.call('run', { ms: measureMs });
      const busy = since(cluster.cpu(), before, seconds);
      // Readings are exact to 10 ms: rest may seem to be more than all there was.
      const each = (part: keyof Cpu) => (Math.max(0, busy[part] - rest[part]) * 1e6 * seconds) / acked;
      const [nodes, postgres, redis] = [each('nodes'), each('postgres'), each('redis')];
      costs.push({ all: Math.max(1, nodes + postgres + redis), nodes, postgres, redis });
    }
    problems.push(...(await generator.call('verify')), ...cluster.accidents());
    const median = (part: keyof (typeof costs)[0]) => summarise(costs.map((cost) => cost[part])).median;
    const cost = {
      size,
      all: median('all'),
      nodes: median('nodes'),
      postgres: median('postgres'),
      redis: median('redis'),
      rest: (rest.nodes + rest.postgres + rest.redis) * 1e6,
    };
    context.log(
      `${size}: ${Math.round(cost.all)} µs a message (nodes ${Math.round(cost.nodes)}, PostgreSQL ${Math.round(cost.postgres)}, Redis ${Math.round(cost.redis)}; at rest ${Math.round(cost.rest / 1e3)} ms a second)`,
    );
    return cost;
  } finally {
    await generator.stop();
  }
}

/** A step of a series: makes the city as large as `size` says; for how many rooms and nodes it is measured then. */
interface Series {
  sizes: { full: number[]; smoke: number[] };
  nodes?: (size: number) => number;
  rooms: (size: number) => number;
  grow: (databaseUrl: string, size: number, before: number) => Promise<void>;
}

/** Every size in turn on one database; each on nodes that were just started, as if they had known nothing smaller. */
async function runSeries(context: RunContext, { sizes, nodes, rooms, grow }: Series): Promise<RunResult> {
  const { services } = context;
  const problems: string[] = [];
  const costs: Cost[] = [];
  const steps = sizes[context.size];
  let cluster: Cluster | undefined;
  try {
    for (const [step, size] of steps.entries()) {
      // Settings of its own, even if none: nobody may share a cluster whose database goes on to the next.
      const options = {
        nodes: nodes?.(size) ?? 1,
        env: {},
        ...(cluster && { databaseUrl: cluster.databaseUrl }),
      };
      cluster = await services.start('city', options);
      await grow(cluster.databaseUrl, size, steps[step - 1] ?? 0);
      costs.push(await measure(cluster, size, rooms(size), context, problems));
      if (step < steps.length - 1) await cluster.stop({ keepDatabase: true });
    }
  } finally {
    await cluster?.stop();
  }
  return {
    figures: {
      ...Object.fromEntries(
        costs.flatMap((cost) => PARTS.map((part) => [`${part}_at_${cost.size}`, cost[part]])),
      ),
      exponent: exponent(costs.map(({ size, all }) => ({ size, cost: all }))),
    },
    problems,
  };
}

function trial(name: string, about: string, series: Series, goals: Goal[]): Trial {
  return {
    name,
    about,
    servers: ['city'],
    runs: 1,
    figures: {
      ...Object.fromEntries(
        PARTS.flatMap((part) => series.sizes.full.map((size) => [`${part}_at_${size}`, UNITS[part]])),
      ),
      exponent: 'of all over the size',
    },
    goals,
    run: (context) => runSeries(context, series),
  };
}

const withRooms = (databaseUrl: string, count: number) =>
  withClient(databaseUrl, (client) => fillRooms(client, count));

/** Ten thousand times as much of it may cost twice as much: what a tree of an index adds. */
const FLAT: Goal = { figure: 'exponent', atMost: 0.08 };

export const growth: Scenario = {
  name: 'growth',
  about: '50 senders a node, closed loop, one reader a room; what a message costs as one thing grows',
  trials: [
    trial(
      'rooms',
      'rooms that are all sent to in turn, each open on one connection, 20 connections in all',
      {
        sizes: { full: [10, 100, 1_000, 10_000], smoke: [10, 100] },
        rooms: (size) => size,
        grow: (databaseUrl, size) => withRooms(databaseUrl, size),
      },
      [FLAT],
    ),
    trial(
      'history',
      'messages that 100 rooms hold already, with their feed',
      {
        sizes: { full: [1e3, 1e4, 1e5, 1e6, 1e7], smoke: [1e3, 1e4] },
        rooms: () => ROOMS,
        grow: async (databaseUrl, size, before) => {
          await withRooms(databaseUrl, ROOMS);
          await fillHistory(databaseUrl, { rooms: ROOMS, from: before, to: size });
        },
      },
      [FLAT],
    ),
    trial(
      'members',
      'members of the one room that all messages go to',
      {
        sizes: { full: [10, 100, 1_000, 1e4, 1e5], smoke: [10, 100] },
        rooms: () => 1,
        grow: async (databaseUrl, size) => {
          await withRooms(databaseUrl, 1);
          await withClient(databaseUrl, (client) => fillMembers(client, roomId(0), size));
        },
      },
      [],
    ),
    trial(
      'nodes',
      '100 rooms; senders (50 to a node) and readers are spread over the nodes, so that every message is news to all',
      {
        sizes: { full: [1, 2, 4], smoke: [1, 2] },
        nodes: (size) => size,
        rooms: () => ROOMS,
        grow: (databaseUrl) => withRooms(databaseUrl, ROOMS),
      },
      [],
    ),
  ],
};
