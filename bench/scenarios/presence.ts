/** Scenario 5, presence: what a heartbeat costs, and what is sent for it. */
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { userId } from '../fill.ts';
import { startGenerator } from '../load/generator.ts';
import type { Generator } from '../load/generator.ts';
import type { PresenceLoad, PresenceOptions } from '../load/presence.ts';
import { createHistogram } from '../measure/histogram.ts';
import type { RunContext, RunResult, Scenario } from '../scenario.ts';
import type { Cluster } from '../services.ts';

const LOAD = new URL('../load/presence.ts', import.meta.url);
const SIZES = {
  full: { users: 10_000, intervalMs: 20_000, churn: 0.01, calmMs: 5_000, warmMs: 3_000, measureMs: 10_000 },
  smoke: { users: 60, intervalMs: 1_000, churn: 0.2, calmMs: 50, warmMs: 50, measureMs: 400 },
};
const WATCHED_BY_ONE = 500;
const MORE = 4;

type Size = (typeof SIZES)['full'];

/** A node with everybody connected, quiet again. */
async function gather({ server, size: scale, services }: RunContext, size: Size) {
  const cluster = await services.start(server);
  const [node] = cluster.nodes;
  const { url } = node!;
  const ids = Array.from({ length: size.users }, (_, i) => userId(i));
  const users = await Promise.all(ids.map(async (id) => ({ id, url, token: await cluster.token(id) })));
  const watchers = await Promise.all(
    Array.from({ length: Math.ceil(size.users / WATCHED_BY_ONE) }, async (_, n) => ({
      url,
      token: await cluster.token(`u_watcher_${n}`),
      watches: ids.slice(n * WATCHED_BY_ONE, (n + 1) * WATCHED_BY_ONE),
    })),
  );
  const options: PresenceOptions = {
    users,
    watchers,
    leaveCity: server === 'city',
    intervalMs: size.intervalMs,
  };
  const generator = await startGenerator<PresenceLoad>(LOAD, options);
  await generator.call('connect', { atOnce: scale === 'full' ? 50 : 10 });
  await sleep(size.calmMs);
  return { cluster, generator };
}

async function end(cluster: Cluster, generator: Generator<PresenceLoad>): Promise<void> {
  await generator.stop();
  await cluster.stop();
}

/** Calls of scripts that Redis has run since it started, and the transitions that the city has numbered. */
async function redisCounts(url: string): Promise<{ scripts: number; transitions: number }> {
  const redis = new Redis(url);
  try {
    const stats = await redis.info('commandstats');
    const calls = [...stats.matchAll(/^cmdstat_(?:evalsha|eval|fcall):calls=(\d+)/gm)];
    return {
      scripts: calls.reduce((sum, [, n]) => sum + Number(n), 0),
      transitions: Number((await redis.hget('city:presence:log', 'version')) ?? 0),
    };
  } finally {
    redis.disconnect();
  }
}

async function heartbeats(context: RunContext): Promise<RunResult> {
  const size = SIZES[context.size];
  const { cluster, generator } = await gather(context, size);
  try {
    await generator.call('run', { ms: size.warmMs, beats: true, churn: size.churn });
    const [before, generatorBefore] = [cluster.cpu(), generator.cpu()];
    const window = await generator.call('run', { ms: size.measureMs, beats: true, churn: size.churn });
    const [after, generatorAfter] = [cluster.cpu(), generator.cpu()];
    const each = (part: 'nodes' | 'redis' | 'postgres') =>
      ((after[part] - before[part]) * 1e6) / window.beats;
    const [node_us, redis_us, postgres_us] = [each('nodes'), each('redis'), each('postgres')];
    const ack = createHistogram();
    ack.add(window.ack);
    return {
      figures: {
        cpu_us: node_us + redis_us + postgres_us,
        node_us,
        redis_us,
        postgres_us,
        beats_per_s: window.beats / window.seconds,
        ack_p50: ack.quantile(0.5) / 1e3,
        ack_p99: ack.quantile(0.99) / 1e3,
        told_per_beat: window.told / window.beats,
        counts_per_connection_s: window.countsPerConnection / window.seconds,
        generator_cpu: (generatorAfter - generatorBefore) / window.seconds,
      },
      problems: [...(await generator.call('verify')), ...cluster.accidents()],
    };
  } finally {
    await end(cluster, generator);
  }
}

/** What is sent and called in windows that differ in one thing: nothing, heartbeats, churn, four times the churn. */
async function traffic(context: RunContext): Promise<RunResult> {
  const size = SIZES[context.size];
  const { cluster, generator } = await gather(context, size);
  const window = async (beats: boolean, churn: number) => {
    const before = await redisCounts(cluster.redisUrl);
    const seen = await generator.call('run', { ms: size.measureMs, beats, churn });
    const problems = await generator.call('verify'); // after which everybody has been told everything
    const after = await redisCounts(cluster.redisUrl);
    const transitions = after.transitions - before.transitions;
    const { told, watcherFrames } = await generator.call('told');
    return { ...seen, scripts: after.scripts - before.scripts, transitions, told, watcherFrames, problems };
  };
  try {
    // Everybody is heard once before the quiet, or some would not be for as long as a heartbeat counts.
    await generator.call('run', { ms: size.intervalMs, beats: true, churn: 0 });
    const quiet = await window(false, 0);
    const beating = await window(true, 0);
    await generator.call('run', { ms: size.warmMs + 3_000, beats: true, churn: size.churn });
    await generator.call('verify');
    const some = await window(true, size.churn);
    const more = await window(true, size.churn * MORE);
    const perTransition = ({ told, transitions }: typeof some) => told / transitions;
    const framesPer = ({ watcherFrames, transitions }: typeof some) => watcherFrames / transitions;
    return {
      figures: {
        scripts_per_beat:
          (beating.scripts - (quiet.scripts * beating.seconds) / quiet.seconds) / beating.beats,
        told_without_transitions: beating.told,
        transitions: some.transitions,
        told_per_transition: perTransition(some),
        transitions_at_more_churn: more.transitions,
        told_per_transition_at_more_churn: perTransition(more),
        frames_per_transition: framesPer(some),
        frames_per_transition_at_more_churn: framesPer(more),
        told_ratio: perTransition(more) / perTransition(some),
      },
      problems: [quiet, beating, some, more].flatMap(({ problems }) => problems).concat(cluster.accidents()),
    };
  } finally {
    await end(cluster, generator);
  }
}

export const presence: Scenario = {
  name: 'presence',
  about: '10,000 users on one node with a heartbeat every 20 s, each watched by one connection',
  trials: [
    {
      name: 'heartbeats',
      about:
        '1 % of the users leave in each interval, as many come back. Bare sets a key that expires and tells the watcher ' +
        'at every heartbeat. All CPU of the time is counted, pings, departures and counts to all 10,000 included.',
      servers: ['bare', 'city'],
      figures: {
        cpu_us: 'µs of CPU a heartbeat, of all processes',
        node_us: 'µs of CPU',
        redis_us: 'µs of CPU',
        postgres_us: 'µs of CPU',
        beats_per_s: '1/s',
        ack_p50: 'ms',
        ack_p99: 'ms',
        told_per_beat: 'changes that watchers were told, a heartbeat',
        counts_per_connection_s: 'frames of numbers a connection and second',
        generator_cpu: 'cores',
      },
      goals: [{ figure: 'cpu_us', over: 'bare', atMost: 1 }],
      run: heartbeats,
    },
    {
      name: 'traffic',
      about: 'what heartbeats call and what transitions send: no churn, 1 %, 4 %',
      servers: ['city'],
      runs: 1,
      figures: {
        scripts_per_beat: 'script calls in Redis, above those of a node at rest',
        told_without_transitions: 'changes told while only heartbeats came',
        transitions: 'at 1 %',
        told_per_transition: 'at 1 %',
        transitions_at_more_churn: 'at 4 %',
        told_per_transition_at_more_churn: 'at 4 %',
        frames_per_transition: 'at 1 %; several transitions may share a frame',
        frames_per_transition_at_more_churn: 'at 4 %',
        told_ratio: 'at 4 % ÷ at 1 %',
      },
      goals: [
        { figure: 'scripts_per_beat', atMost: 1.01 },
        { figure: 'told_without_transitions', atMost: 0 },
        { figure: 'told_ratio', atLeast: 0.9, atMost: 1.1 },
      ],
      run: traffic,
    },
  ],
};
