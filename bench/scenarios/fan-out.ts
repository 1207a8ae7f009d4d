/** Scenario 2, fan-out: what a delivered message costs where rooms are large, and where commits come one by one. */
import type { Scenario } from '../scenario.ts';
import { runRooms } from './rooms.ts';
import type { Measured, RoomsPlan } from './rooms.ts';

const FIGURES = {
  sent_per_s: '1/s',
  delivered_per_s: '1/s',
  nodes_per_delivery: 'µs of CPU',
  all_per_delivery: 'µs of CPU',
  all_per_message: 'µs of CPU',
  postgres_per_message: 'µs of CPU',
  redis_per_message: 'µs of CPU',
  ack_p50: 'ms',
  ack_p99: 'ms',
  delivery_p50: 'ms',
  delivery_p99: 'ms',
  lateness_p99: 'ms',
  generator_cpu: 'cores',
};

const figures = ({ seconds, acked, delivered, ack, delivery, lateness, cpu }: Measured) => {
  const all = cpu.nodes + cpu.workers + cpu.postgres + cpu.redis;
  return {
    sent_per_s: acked / seconds,
    delivered_per_s: delivered / seconds,
    nodes_per_delivery: (cpu.nodes / delivered) * 1e6,
    all_per_delivery: (all / delivered) * 1e6,
    all_per_message: (all / acked) * 1e6,
    postgres_per_message: (cpu.postgres / acked) * 1e6,
    redis_per_message: (cpu.redis / acked) * 1e6,
    ack_p50: ack.p50,
    ack_p99: ack.p99,
    delivery_p50: delivery.p50,
    delivery_p99: delivery.p99,
    lateness_p99: lateness.p99,
  };
};

/** The window is as long as the servers' ping interval: each connection is asked once in it, whenever it was opened. */
const times = {
  full: { warmMessages: 4_000, warmMs: 3_000, measureMs: 10_000 },
  smoke: { warmMessages: 20, warmMs: 50, measureMs: 300 },
};

const large: Record<'full' | 'smoke', RoomsPlan> = {
  full: { ...times.full, nodes: 2, rooms: 4, both: 300, rate: 50 },
  smoke: { ...times.smoke, nodes: 2, rooms: 2, both: 10, rate: 50 },
};
const many: Record<'full' | 'smoke', RoomsPlan> = {
  full: { ...times.full, nodes: 2, rooms: 50, both: 20, rate: 250 },
  smoke: { ...times.smoke, nodes: 2, rooms: 5, both: 2, rate: 100 },
};

export const fanOut: Scenario = {
  name: 'fan-out',
  about: 'CPU per message and latency at a given load, open loop',
  trials: [
    {
      name: 'rooms-of-300',
      about: '4 rooms of 300 on two nodes, 50 messages/s: 15,000 deliveries/s',
      servers: ['bare', 'tutorial', 'city'],
      figures: FIGURES,
      goals: [
        { figure: 'nodes_per_delivery', over: 'bare', atMost: 0.85 },
        { figure: 'all_per_delivery', over: 'bare', atMost: 1 },
      ],
      run: (context) => runRooms(context, large[context.size], figures),
    },
    {
      name: 'rooms-of-20',
      about:
        '50 rooms of 20 on two nodes, 250 messages/s evenly spaced: 5,000 deliveries/s, each commit paid singly',
      servers: ['bare', 'tutorial', 'city'],
      figures: FIGURES,
      goals: [
        { figure: 'all_per_message', over: 'tutorial', atMost: 1.05 },
        { figure: 'ack_p50', over: 'tutorial', atMost: 1.1 },
        { figure: 'ack_p99', over: 'tutorial', atMost: 1.2 },
        { figure: 'delivery_p50', over: 'tutorial', atMost: 1.1 },
        { figure: 'delivery_p99', over: 'tutorial', atMost: 1.2 },
      ],
      run: (context) => runRooms(context, many[context.size], figures),
    },
  ],
};
