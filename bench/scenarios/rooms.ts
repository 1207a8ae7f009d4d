/** What the scenarios of messages share: a cluster, rooms, their clients in generator processes, a measured window. */
import { startGenerator } from '../load/generator.ts';
import type { Generator } from '../load/generator.ts';
import type { RoomClient, RoomsLoad, RoomsOptions, Sent, Window } from '../load/rooms.ts';
import { createHistogram } from '../measure/histogram.ts';
import type { RunContext, RunResult } from '../scenario.ts';
import type { Cluster, Cpu } from '../services.ts';

const LOAD = new URL('../load/rooms.ts', import.meta.url);
const BODY_LENGTH = 100;
/** Of one core: from here on the generator may be what was measured. */
const GENERATOR_MAX = 0.9;

export interface RoomsPlan {
  nodes: number;
  /** How many rooms, with how many senders and readers each; `both` of them send and read. Nodes take turns. */
  rooms: number;
  both?: number;
  senders?: number;
  readers?: number;
  /** Messages a second in all; closed loop when absent. */
  rate?: number;
  generators?: number;
  /** Messages that each node is sent first, in small rooms; none when absent. */
  warmMessages?: number;
  /** How long the load itself runs before it is measured. */
  warmMs: number;
  measureMs: number;
  connectAtOnce?: number;
  /** How long deliveries may be under way after the last message; 10 s when absent. */
  patienceMs?: number;
}

export interface Measured {
  seconds: number;
  acked: number;
  delivered: number;
  ack: { p50: number; p99: number };
  delivery: { p50: number; p99: number };
  lateness: { p99: number };
  cpu: Cpu;
  /** Seconds of CPU of the busiest generator process. */
  generator: number;
}

/** Runs the plan once on a fresh cluster; `figures` makes the figures of what was measured. */
export async function runRooms(
  { server, services }: RunContext,
  plan: RoomsPlan,
  figures: (measured: Measured) => Record<string, number>,
): Promise<RunResult> {
  const cluster = await services.start(server, { nodes: plan.nodes });
  const generators: Generator<RoomsLoad>[] = [];
  try {
    if (plan.warmMessages) await warm(cluster, plan.warmMessages);
    const options = await clientsOf(cluster, plan);
    const parts = split(options.clients, plan.generators ?? 1);
    for (const clients of parts)
      generators.push(await startGenerator<RoomsLoad>(LOAD, { ...options, clients }));
    const all = <T>(call: (generator: Generator<RoomsLoad>) => Promise<T>) =>
      Promise.all(generators.map(call));

    await all(({ call }) => call('connect', { atOnce: plan.connectAtOnce ?? 50 }));
    await all(({ call }) =>
      plan.rate === undefined
        ? call('closedLoop')
        : call('openLoop', { rate: plan.rate / generators.length }),
    );
    await all(({ call }) => call('measure', { ms: plan.warmMs }));

    const before = { cluster: cluster.cpu(), generators: generators.map(({ cpu }) => cpu()) };
    const windows = await all(({ call }) => call('measure', { ms: plan.measureMs }));
    const cpu = since(cluster.cpu(), before.cluster);
    const generator = Math.max(...generators.map((each, n) => each.cpu() - before.generators[n]!));

    const sent = addUp(await all(({ call }) => call('settle')));
    const problems = (await all(({ call }) => call('verify', { sent }))).flat();
    const measured = { ...combine(windows), cpu, generator };
    if (measured.acked === 0) problems.push('nothing was acknowledged');
    return {
      figures: { ...figures(measured), generator_cpu: generator / measured.seconds },
      problems: [...problems, ...cluster.accidents()],
      notes:
        generator / measured.seconds > GENERATOR_MAX
          ? ['a generator process used a core almost whole in some run']
          : [],
    };
  } finally {
    await Promise.all(generators.map((generator) => generator.stop()));
    await cluster.stop();
  }
}

/**
 * Sends every node `messages` messages in small rooms, from clients that leave again: a server runs for days, a measured
 * window for seconds, in which V8 would still be compiling if only a few messages a second came before.
 */
async function warm(cluster: Cluster, messages: number): Promise<void> {
  const options = await clientsOf(cluster, { rooms: 2 * cluster.nodes.length, both: 2 }, 'u_warm');
  const generator = await startGenerator<RoomsLoad>(LOAD, options);
  try {
    await generator.call('connect', { atOnce: options.clients.length });
    await generator.call('sendEach', {
      count: Math.ceil((messages * cluster.nodes.length) / options.clients.length),
    });
    const [problem] = await generator.call('verify', { sent: await generator.call('settle') });
    if (problem) throw new Error(`warming up went wrong: ${problem}`);
  } finally {
    await generator.stop();
  }
}

/** Every room's clients, spread over the nodes. */
async function clientsOf(
  cluster: Cluster,
  plan: Pick<RoomsPlan, 'rooms' | 'both' | 'senders' | 'readers' | 'patienceMs'>,
  users = 'u_bench',
): Promise<RoomsOptions> {
  const { rooms: count, both = 0, senders = 0, readers = 0, patienceMs } = plan;
  const ids = await cluster.createRooms(count);
  const clients: RoomClient[] = [];
  for (const room of ids.keys()) {
    for (let n = 0; n < both + senders + readers; n++) {
      const userId = `${users}_${clients.length}`;
      clients.push({
        url: cluster.nodes[clients.length % cluster.nodes.length]!.url,
        token: await cluster.token(userId, { name: `Bench ${clients.length}` }),
        userId,
        room,
        reads: n < both || n >= both + senders,
        ...(n < both + senders ? { sender: n } : {}),
      });
    }
  }
  const rooms = ids.map((id) => ({ id, senders: both + senders }));
  return {
    rooms,
    clients,
    numbered: cluster.server === 'city',
    bodyLength: BODY_LENGTH,
    ...(patienceMs && { patienceMs }),
  };
}

/** Into so many parts, rooms being spread over all of them. */
function split<T>(items: T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, part) => items.filter((_item, n) => n % parts === part));
}

const since = (now: Cpu, then: Cpu): Cpu => ({
  nodes: now.nodes - then.nodes,
  workers: now.workers - then.workers,
  postgres: now.postgres - then.postgres,
  redis: now.redis - then.redis,
});

const addUp = (parts: Sent[]): Sent =>
  parts[0]!.map((room, r) =>
    room.map((_, sender) => parts.reduce((sum, part) => sum + part[r]![sender]!, 0)),
  );

function combine(windows: Window[]): Omit<Measured, 'cpu' | 'generator'> {
  const quantiles = (name: 'ack' | 'delivery' | 'lateness') => {
    const histogram = createHistogram();
    for (const window of windows) histogram.add(window[name]);
    return { p50: histogram.quantile(0.5) / 1e3, p99: histogram.quantile(0.99) / 1e3 };
  };
  const sum = (name: 'acked' | 'delivered') => windows.reduce((total, window) => total + window[name], 0);
  return {
    seconds: Math.max(...windows.map(({ seconds }) => seconds)),
    acked: sum('acked'),
    delivered: sum('delivered'),
    ack: quantiles('ack'),
    delivery: quantiles('delivery'),
    lateness: quantiles('lateness'),
  };
}
