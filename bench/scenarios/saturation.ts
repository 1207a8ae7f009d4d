/** Scenario 1, saturation: how many messages a second are acknowledged when 100 senders wait for nothing else. */
import type { Goal, Scenario, Trial } from '../scenario.ts';
import { runRooms } from './rooms.ts';
import type { Measured, RoomsPlan } from './rooms.ts';

const FIGURES = {
  acked_per_s: '1/s',
  delivered_per_s: '1/s',
  ack_p50: 'ms',
  ack_p99: 'ms',
  nodes_per_message: 'µs of CPU',
  postgres_per_message: 'µs of CPU',
  redis_per_message: 'µs of CPU',
  all_cpu: 'cores',
  generator_cpu: 'cores',
};

const figures = ({ seconds, acked, delivered, ack, cpu }: Measured) => ({
  acked_per_s: acked / seconds,
  delivered_per_s: delivered / seconds,
  ack_p50: ack.p50,
  ack_p99: ack.p99,
  nodes_per_message: (cpu.nodes / acked) * 1e6,
  postgres_per_message: (cpu.postgres / acked) * 1e6,
  redis_per_message: (cpu.redis / acked) * 1e6,
  all_cpu: (cpu.nodes + cpu.postgres + cpu.redis) / seconds,
});

const faster = (over: Goal['over'] & string, atLeast: number): Goal => ({
  figure: 'acked_per_s',
  over,
  atLeast,
});

/** By then V8 has compiled most of what this load runs (the last of it after some 14 s). */
const WARM_MS = 8_000;

const trial = (
  name: string,
  about: string,
  plan: Pick<RoomsPlan, 'nodes' | 'rooms' | 'both' | 'senders' | 'readers'>,
  goals: Goal[],
): Trial => ({
  name,
  about,
  servers: ['bare', 'tutorial', 'city'],
  figures: FIGURES,
  goals,
  run: (context) =>
    runRooms(
      context,
      context.size === 'full'
        ? { ...plan, warmMs: WARM_MS, measureMs: 5_000 }
        : { ...plan, warmMs: 50, measureMs: 200 },
      figures,
    ),
});

export const saturation: Scenario = {
  name: 'saturation',
  about: 'acknowledged messages a second of 100 senders, closed loop',
  trials: [
    trial('one-node', '50 rooms of 2 that both send, one node', { nodes: 1, rooms: 50, both: 2 }, [
      faster('bare', 1),
      faster('tutorial', 3),
    ]),
    trial('two-nodes', '50 rooms of 2 that both send, two nodes', { nodes: 2, rooms: 50, both: 2 }, [
      faster('bare', 1),
      faster('tutorial', 3),
    ]),
    trial(
      'hot-room',
      'one room with 100 senders and 2 readers, one node',
      { nodes: 1, rooms: 1, senders: 100, readers: 2 },
      [faster('tutorial', 3)],
    ),
  ],
};
