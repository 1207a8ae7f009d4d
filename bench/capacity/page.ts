/** The generated part of the capacity page. */
import { format } from '../report.ts';
import { nodesFor, oneNode } from './model.ts';
import type { Habits, Layout, Limits, Load } from './model.ts';
import type { Readings, Units } from './units.ts';

const row = (cells: (string | number)[]) => `| ${cells.join(' | ')} |`;
const table = (head: string[], lines: (string | number)[][]) =>
  [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');

const two = (value: number) => format(Number(value.toPrecision(2)));
const three = (value: number) => format(Number(value.toPrecision(3)));
const percent = (part: number, whole: number) => `${Math.round((100 * part) / whole)} %`;

export const LIMITS: Limits = { busy: 0.6, nodeMemory: 1.5 * 2 ** 30, postgresCores: 16 };
const COMMON: Habits = {
  messagesPerMinute: 0.2,
  roomsOpen: 3,
  usersPerRoom: 50,
  skew: 0.8,
  roomMax: 5_000,
  roomRateMax: 2,
  heartbeatS: 20,
  lastsS: 1_800,
};
/** Three cities that differ in how much is said. */
export const CITIES: Record<string, Habits> = {
  quiet: { ...COMMON, messagesPerMinute: 0.02 },
  usual: COMMON,
  lively: { ...COMMON, messagesPerMinute: 2 },
};
const LAYOUTS: Layout[] = ['spread', 'sharded', 'pinned'];

const UNIT_NAMES: Record<keyof Units, string> = {
  send: 'a message taken in, stored and announced: its node, µs',
  delivery: 'a frame to one connection: its node, µs',
  hear: 'to hear of a message: every other node, µs',
  heartbeat: 'a heartbeat, with pings and counts: its node, µs',
  connect: 'a handshake in both namespaces: its node, µs',
  memory: 'a connection in both namespaces: its node, bytes',
  postgresSend: 'a message: PostgreSQL, µs',
  postgresConnect: 'a handshake: PostgreSQL, µs',
  redisSend: 'a message: Redis, µs',
  redisHear: 'a message, for each further node that listens: Redis, µs',
  redisHeartbeat: 'a heartbeat: Redis, µs',
};

/** What a node or a service does most of the time. */
function reason({ parts, memory, busiest }: Load): string {
  if (memory / LIMITS.nodeMemory > busiest / LIMITS.busy) return 'memory of connections';
  const [name, most] = Object.entries({
    'taking in messages': parts.send,
    'hearing of messages of others': parts.hear,
    deliveries: parts.deliver,
    'heartbeats and handshakes': parts.hold,
  }).sort(([, a], [, b]) => b - a)[0]!;
  return `${name} (${percent(most, busiest)} of its CPU)`;
}

/** What is reached next when the city grows on: the service that is nearest to its limit. */
function bottleneck({ postgres, redis }: Load): string {
  const share = { PostgreSQL: postgres / (LIMITS.postgresCores * LIMITS.busy), Redis: redis / LIMITS.busy };
  const [name, value] = Object.entries(share).sort(([, a], [, b]) => b - a)[0]!;
  return `${name}, at ${percent(value, 1)} of what it may be`;
}

function cluster(connections: number, units: Units): string {
  const lines = Object.entries(CITIES).flatMap(([city, habits]) =>
    LAYOUTS.map((layout) => {
      const load = nodesFor(connections, layout, units, habits, LIMITS);
      if (!load) return [city, layout, 'none is enough', '', '', '', '', ''];
      return [
        city,
        layout,
        load.nodes,
        reason(load),
        three(load.messagesPerS),
        three(load.deliveriesPerS),
        `${two(load.postgres)} (${Math.ceil(load.postgres / LIMITS.busy)})`,
        `${two(load.redis)} (${Math.ceil(load.redis / LIMITS.busy)})`,
      ];
    }),
  );
  return table(
    [
      'city',
      'layout',
      'nodes',
      'what they do most',
      'messages/s',
      'deliveries/s',
      'PostgreSQL: cores of work (cores to have)',
      'Redis: cores of work (servers to have)',
    ],
    lines,
  );
}

/** Everything on the page that depends on figures. */
export function renderCapacity(readings: Readings, units: Units, basis: string): string {
  const alone = Object.entries(CITIES).map(([city, habits]) => {
    const { connections, load } = oneNode(units, habits, LIMITS);
    return [
      city,
      two(connections),
      reason(load),
      three(load.messagesPerS),
      three(load.deliveriesPerS),
      `${Math.round(load.memory / 2 ** 20)} MiB`,
      bottleneck(load),
    ];
  });
  return [
    `Made of ${basis} by \`node --import tsx bench/capacity.ts\`.`,
    '### Costs of a unit',
    table(
      ['unit', 'value'],
      Object.entries(units).map(([name, value]) => [UNIT_NAMES[name as keyof Units], three(value)]),
    ),
    'They are made of these figures, the medians of the bench:',
    table(
      ['figure', 'value'],
      Object.values(readings).map(({ scenario, trial, figure, value }) => [
        `${scenario}, ${trial}, ${figure}`,
        three(value),
      ]),
    ),
    '### Assumptions',
    table(
      ['', ...Object.keys(CITIES)],
      (
        [
          ['messagesPerMinute', 'messages a minute of one connected user'],
          ['roomsOpen', 'rooms that a connection has open'],
          ['usersPerRoom', 'connected users for each room'],
          ['skew', 'skew of the popularity of rooms'],
          ['roomMax', 'connections in one room, at most'],
          ['roomRateMax', 'messages a second in one room, at most'],
          ['heartbeatS', 'seconds between heartbeats'],
          ['lastsS', 'seconds that a connection lasts'],
        ] as const
      ).map(([name, words]) => [words, ...Object.values(CITIES).map((habits) => habits[name])]),
    ),
    `A node, Redis and each core of PostgreSQL are busy for at most ${percent(LIMITS.busy, 1)} of the time; a node has ` +
      `${LIMITS.nodeMemory / 2 ** 30} GiB for its connections; PostgreSQL has ${LIMITS.postgresCores} cores.`,
    '### One node (simulated)',
    table(
      [
        'city',
        'connections',
        'limit',
        'messages/s',
        'deliveries/s',
        'memory of connections',
        'next bottleneck',
      ],
      alone,
    ),
    '### 100,000 connections (simulated)',
    cluster(1e5, units),
    '### 1,000,000 connections (simulated)',
    cluster(1e6, units),
  ].join('\n\n');
}
