/**
 * The simulation: a city of so many connections, drawn at random, and the load that it puts on each node, on PostgreSQL
 * and on Redis by the cost of each unit of work. A model and not a measurement.
 */
import type { Units } from './units.ts';

/** How a city behaves; nothing of it is measured. */
export interface Habits {
  /** Messages that one connected user sends in a minute. */
  messagesPerMinute: number;
  /** Rooms that a connection has open. */
  roomsOpen: number;
  /** Connected users for each room. */
  usersPerRoom: number;
  /** The k-th most popular room is opened 1/k^skew as often as the first. */
  skew: number;
  /** Connections that have one room open, at most. */
  roomMax: number;
  /** Messages a second in one room, at most: what slow mode or reading speed allows. */
  roomRateMax: number;
  /** Between two heartbeats of a connection, seconds. */
  heartbeatS: number;
  /** A connection lasts so long, seconds. */
  lastsS: number;
}

/** What a machine of the city has to give. */
export interface Limits {
  /** Of the one core that a node or Redis can use, and of each core of PostgreSQL: the rest is for peaks. */
  busy: number;
  /** Bytes for the connections of a node. */
  nodeMemory: number;
  /** Cores of the primary of PostgreSQL. */
  postgresCores: number;
}

/**
 * spread: connections anywhere, and each message is news to every node (one channel, as it is).
 * sharded: connections anywhere, a channel for each room, over which only nodes hear that have the room open.
 * pinned: a room lives on as few nodes as can carry it, and clients connect to where their rooms are.
 */
export type Layout = 'spread' | 'sharded' | 'pinned';

/** Cores' worth of work. */
export interface Load {
  nodes: number;
  busiest: number;
  /** Of the busiest node: to send, to hear, to deliver, to hold connections. */
  parts: { send: number; hear: number; deliver: number; hold: number };
  memory: number;
  postgres: number;
  redis: number;
  messagesPerS: number;
  deliveriesPerS: number;
}

/** A generator of numbers in [0, 1) that a seed repeats (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Room {
  /** Connections that have it open. */
  open: number;
  messagesPerS: number;
}

/** The rooms of a city of so many connections: most are small, a few are as large as a room may be. */
export function drawRooms(connections: number, habits: Habits): Room[] {
  const count = Math.max(1, Math.round(connections / habits.usersPerRoom));
  const weights = Array.from({ length: count }, (_, k) => 1 / (k + 1) ** habits.skew);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const openings = connections * habits.roomsOpen;
  const perOpening = habits.messagesPerMinute / 60 / habits.roomsOpen;
  return weights.map((weight) => {
    const open = Math.max(1, Math.min(habits.roomMax, Math.round((openings * weight) / total)));
    return { open, messagesPerS: Math.min(habits.roomRateMax, open * perOpening) };
  });
}

/** Chance that a node has a room open, when its connections lie anywhere. */
const meets = (open: number, nodes: number) => 1 - (1 - 1 / nodes) ** open;

/** The load of a city of `connections` in `rooms` on `nodes`; the same every time. */
export function simulate(
  connections: number,
  nodes: number,
  layout: Layout,
  units: Units,
  habits: Habits,
  rooms = drawRooms(connections, habits),
): Load {
  const random = createRandom(1);
  const cores = (us: number) => us / 1e6;
  const messages = rooms.reduce((sum, room) => sum + room.messagesPerS, 0);
  const deliveries = rooms.reduce((sum, room) => sum + room.messagesPerS * room.open, 0);
  const perNode = Array.from({ length: nodes }, () => ({ send: 0, hear: 0, deliver: 0, hold: 0 }));
  // Whoever has several rooms open has a connection to each of the nodes that these are on.
  const held = layout === 'pinned' ? connections * Math.min(habits.roomsOpen, nodes) : connections;
  const hold = (units.heartbeat * (connections / held)) / habits.heartbeatS + units.connect / habits.lastsS;
  let heard = 0;

  /** The same on every node. */
  const everywhere = { send: 0, hear: 0, deliver: 0 };
  const add = (node: typeof everywhere, { open, messagesPerS }: Room, homes: number, listening: number) => {
    node.send += cores((messagesPerS / homes) * units.send);
    node.hear += cores(messagesPerS * listening * (1 - 1 / homes) * units.hear);
    node.deliver += cores(((messagesPerS * open) / homes) * units.delivery);
  };
  for (const room of rooms) {
    const { open, messagesPerS } = room;
    // A pinned room is on as many nodes as its share of all deliveries asks for.
    const homes =
      layout === 'pinned'
        ? Math.max(1, Math.ceil((messagesPerS * open * nodes) / Math.max(1, deliveries)))
        : nodes;
    const first = layout === 'pinned' ? Math.floor(random() * nodes) : 0;
    const listening = layout === 'sharded' ? meets(open, nodes) : 1;
    heard += messagesPerS * Math.max(0, homes * listening - 1);
    if (homes === nodes) add(everywhere, room, homes, listening);
    else
      for (let home = 0; home < homes; home++) add(perNode[(first + home) % nodes]!, room, homes, listening);
  }
  for (const node of perNode) {
    // Connections do not lie quite evenly: a node has what chance and a balancer give it.
    const share = (held / nodes) * (1 + 0.1 * (random() - 0.5));
    node.hold = cores(share * hold);
    node.send += everywhere.send;
    node.hear += everywhere.hear;
    node.deliver += everywhere.deliver;
  }
  const sum = ({ send, hear, deliver, hold: own }: Load['parts']) => send + hear + deliver + own;
  const busiest = perNode.reduce((most, node) => (sum(node) > sum(most) ? node : most));
  return {
    nodes,
    busiest: sum(busiest),
    parts: busiest,
    memory: (held / nodes) * units.memory,
    postgres: cores(messages * units.postgresSend + (connections / habits.lastsS) * units.postgresConnect),
    redis: cores(
      messages * units.redisSend +
        heard * units.redisHear +
        (connections / habits.heartbeatS) * units.redisHeartbeat,
    ),
    messagesPerS: messages,
    deliveriesPerS: deliveries,
  };
}

/** Whether no node is busier or fuller than it may be. */
export const carries = ({ busiest, memory }: Load, { busy, nodeMemory }: Limits): boolean =>
  busiest <= busy && memory <= nodeMemory;

const NODES_MAX = 4_096;

/**
 * The fewest nodes that carry the city; undefined when no number does, since what each has to hear does not become less
 * with their number.
 */
export function nodesFor(
  connections: number,
  layout: Layout,
  units: Units,
  habits: Habits,
  limits: Limits,
): Load | undefined {
  const rooms = drawRooms(connections, habits);
  const at = (nodes: number) => simulate(connections, nodes, layout, units, habits, rooms);
  let high = 1;
  while (!carries(at(high), limits)) {
    if (high >= NODES_MAX) return undefined;
    high *= 2;
  }
  let low = high >> 1; // too few
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (carries(at(middle), limits)) high = middle;
    else low = middle;
  }
  return at(high);
}

/** The most connections that one node carries, to 1 %. */
export function oneNode(units: Units, habits: Habits, limits: Limits): { connections: number; load: Load } {
  const fits = (connections: number) => carries(simulate(connections, 1, 'spread', units, habits), limits);
  let [low, high] = [1, Math.ceil(limits.nodeMemory / units.memory) + 1];
  while (high - low > Math.max(1, low / 100)) {
    const middle = Math.floor((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return { connections: low, load: simulate(low, 1, 'spread', units, habits) };
}
