/** Scenario 9, Second Me: what the city adds to a call of Agents Core, and how many invocations a node finishes. */
import { userId } from '../fill.ts';
import type { AgentsLoad } from '../load/agents.ts';
import { startGenerator } from '../load/generator.ts';
import type { Generator } from '../load/generator.ts';
import type { SecondMeLoad, SecondMeOptions } from '../load/second-me.ts';
import { createHistogram } from '../measure/histogram.ts';
import { summarise } from '../measure/medians.ts';
import type { RunContext, RunResult, Scenario } from '../scenario.ts';
import type { Cluster, ClusterOptions } from '../services.ts';

const LOADS = new URL('../load/', import.meta.url);
const AGENT_ID = 'ag_secondme_bench';
const SIZES = {
  full: { users: 200, warmUp: 50, inTurn: 300, warmMs: 3_000, measureMs: 6_000 },
  smoke: { users: 5, warmUp: 2, inTurn: 5, warmMs: 50, measureMs: 300 },
};

interface City {
  cluster: Cluster;
  generator: Generator<SecondMeLoad>;
}

/** Runs `measure` with a city before an agent that answers at once; every question must have had one call and one reply. */
async function withCity(
  { services }: RunContext,
  options: ClusterOptions,
  users: number,
  measure: (city: City) => Promise<Record<string, number>>,
): Promise<RunResult> {
  const agents = await startGenerator<AgentsLoad>(new URL('agents.ts', LOADS), {});
  const agentsUrl = await agents.call('listen');
  const env = { AGENTS_SERVICE_URL: agentsUrl, SECONDME_AGENT_ID: AGENT_ID, ...options.env };
  const cluster = await services.start('city', { ...options, env });
  const generator = await startGenerator<SecondMeLoad>(new URL('second-me.ts', LOADS), {
    users: await Promise.all(
      Array.from({ length: users }, async (_, i) => ({
        id: userId(i),
        url: cluster.nodes[i % cluster.nodes.length]!.url,
        token: await cluster.token(userId(i), { name: `Bench ${i}` }),
      })),
    ),
    agentsUrl,
    agentId: AGENT_ID,
  } satisfies SecondMeOptions);
  try {
    await generator.call('connect', { atOnce: 20 });
    const figures = await measure({ cluster, generator });
    const { asked, problems } = await generator.call('verify');
    const { invocations, repeated } = await agents.call('counts');
    const [stored] = await cluster.query<{ n: number }>(
      `select count(*)::int n from secondme_messages where role = 'assistant'`,
    );
    return {
      figures,
      problems: [
        ...problems,
        ...(invocations === asked ? [] : [`${asked} questions, ${invocations} calls of the agent`]),
        ...(repeated === 0 ? [] : [`${repeated} questions were passed on more than once`]),
        ...(stored!.n === asked ? [] : [`${asked} questions, ${stored!.n} replies stored`]),
        ...cluster.accidents(),
      ],
    };
  } finally {
    await Promise.all([generator.stop(), agents.stop()]);
    await cluster.stop();
  }
}

async function firstDelta(context: RunContext): Promise<RunResult> {
  const size = SIZES[context.size];
  return withCity(context, { workers: 1 }, size.users, async ({ generator }) => {
    await generator.call('inTurn', { count: size.warmUp });
    const { direct, city } = await generator.call('inTurn', { count: size.inTurn });
    const median = (values: number[]) => summarise(values).median / 1e3;
    return { added: median(city) - median(direct), city: median(city), direct: median(direct) };
  });
}

const throughput = (options: ClusterOptions) => (context: RunContext) => {
  const size = SIZES[context.size];
  return withCity(context, options, size.users, async ({ cluster, generator }) => {
    await generator.call('closedLoop', { ms: size.warmMs });
    const before = cluster.cpu();
    const window = await generator.call('closedLoop', { ms: size.measureMs });
    const after = cluster.cpu();
    const each = (part: keyof typeof before) => ((after[part] - before[part]) * 1e6) / window.finished;
    const quantile = (counts: number[], q: number) => {
      const histogram = createHistogram();
      histogram.add(counts);
      return histogram.quantile(q) / 1e3;
    };
    return {
      finished_per_s: window.finished / window.seconds,
      ack_p50: quantile(window.ack, 0.5),
      reply_p50: quantile(window.reply, 0.5),
      reply_p99: quantile(window.reply, 0.99),
      node_us: each('nodes'),
      worker_us: each('workers'),
      postgres_us: each('postgres'),
      redis_us: each('redis'),
    };
  });
};

const THROUGHPUT = {
  finished_per_s: '1/s',
  ack_p50: 'ms',
  reply_p50: 'ms',
  reply_p99: 'ms',
  node_us: 'µs of CPU an invocation',
  worker_us: 'µs of CPU an invocation',
  postgres_us: 'µs of CPU an invocation',
  redis_us: 'µs of CPU an invocation',
};

export const secondMe: Scenario = {
  name: 'second-me',
  about: 'invocations with an agent that answers at once, each asked, queued, called, stored and replied',
  trials: [
    {
      name: 'first-delta',
      about:
        'one question at a time through a node and a worker, and before each one a call of Agents Core itself: the time ' +
        'until the first piece of the reply, medians',
      servers: ['city'],
      figures: { added: 'ms, city − direct', city: 'ms', direct: 'ms' },
      goals: [{ figure: 'added', atMost: 15 }],
      run: firstDelta,
    },
    {
      name: 'one-process',
      about:
        '200 users who ask again as soon as they have their reply; one process serves and works (ROLE=all)',
      servers: ['city'],
      figures: THROUGHPUT,
      goals: [{ figure: 'finished_per_s', atLeast: 500 }],
      run: throughput({ env: { ROLE: 'all' } }),
    },
    {
      name: 'two-processes',
      about: 'the same with the jobs in a process of their own (ROLE=api and ROLE=worker)',
      servers: ['city'],
      figures: THROUGHPUT,
      goals: [],
      run: throughput({ workers: 1 }),
    },
  ],
};
