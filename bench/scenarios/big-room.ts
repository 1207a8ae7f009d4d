/** Scenario 3, one big room: how many frames a second of server CPU puts on the wire. */
import type { Scenario } from '../scenario.ts';
import { runRooms } from './rooms.ts';
import type { Measured, RoomsPlan } from './rooms.ts';

const plans: Record<'full' | 'smoke', RoomsPlan> = {
  full: {
    nodes: 2,
    rooms: 1,
    both: 10,
    readers: 4_990,
    rate: 4,
    warmMessages: 4_000,
    warmMs: 4_000,
    measureMs: 10_000,
    connectAtOnce: 100,
  },
  smoke: { nodes: 2, rooms: 1, both: 2, readers: 28, rate: 300, warmMs: 50, measureMs: 400 },
};

/** The least that /proc tells apart; of a window as short as that of a try, nothing may show at all. */
const LEAST_CPU_S = 0.01;

const figures = ({ seconds, delivered, delivery, cpu }: Measured) => ({
  frames_per_cpu_s: delivered / Math.max(cpu.nodes, LEAST_CPU_S),
  delivered_per_s: delivered / seconds,
  delivery_p50: delivery.p50,
  delivery_p99: delivery.p99,
});

export const bigRoom: Scenario = {
  name: 'big-room',
  about: 'one room of 5,000 on two nodes',
  trials: [
    {
      name: 'room-of-5000',
      about: 'one room that 5,000 have open on two nodes, 4 messages/s: 20,000 frames/s',
      servers: ['bare', 'city'],
      figures: {
        frames_per_cpu_s: '1/s',
        delivered_per_s: '1/s',
        delivery_p50: 'ms',
        delivery_p99: 'ms',
        generator_cpu: 'cores',
      },
      goals: [{ figure: 'frames_per_cpu_s', over: 'bare', atLeast: 1.1 }],
      run: (context) => runRooms(context, plans[context.size], figures),
    },
  ],
};
