/** What one unit of work costs, out of the results of the bench. */
import { summaryOf } from '../report.ts';
import type { ScenarioRecord } from '../report.ts';

/** Where a figure stands in the results: scenario, trial, figure; always the city's median. */
interface Source {
  scenario: string;
  trial: string;
  figure: string;
}

export interface Measured extends Source {
  value: number;
}

/** Microseconds of CPU unless said otherwise. */
export interface Units {
  /** On a node: one message taken in, stored with others and announced, without its deliveries. */
  send: number;
  /** On a node: one frame to one connection. */
  delivery: number;
  /** On every node but the sender's: to hear of a message. */
  hear: number;
  /** On a node, in a heartbeat's interval: the heartbeat with the pings and counts that a connection costs anyway. */
  heartbeat: number;
  /** On a node: a handshake in both namespaces. */
  connect: number;
  /** Bytes of resident memory of a connection in both namespaces. */
  memory: number;
  postgresSend: number;
  postgresConnect: number;
  redisSend: number;
  /** For each further node that listens. */
  redisHear: number;
  redisHeartbeat: number;
}

const at = (scenario: string, trial: string, figure: string): Source => ({ scenario, trial, figure });
const SOURCES = {
  // At some hundred messages a second, as a node of a cluster has them: commits are hardly shared.
  allPerMessage: at('fan-out', 'rooms-of-20', 'all_per_message'),
  postgresPerMessage: at('fan-out', 'rooms-of-20', 'postgres_per_message'),
  redisPerMessage: at('fan-out', 'rooms-of-20', 'redis_per_message'),
  nodesPerDelivery: at('fan-out', 'rooms-of-300', 'nodes_per_delivery'),
  heardByOne: at('growth', 'nodes', 'nodes_at_1'),
  heardByFour: at('growth', 'nodes', 'nodes_at_4'),
  redisForOne: at('growth', 'nodes', 'redis_at_1'),
  redisForFour: at('growth', 'nodes', 'redis_at_4'),
  nodePerBeat: at('presence', 'heartbeats', 'node_us'),
  redisPerBeat: at('presence', 'heartbeats', 'redis_us'),
  nodePerConnect: at('connections', 'idle-10000', 'node_cpu_per_connect'),
  postgresPerConnect: at('connections', 'idle-10000', 'postgres_cpu_per_connect'),
  memoryPerConnection: at('connections', 'idle-10000', 'resident_per_connection'),
};
export type Readings = Record<keyof typeof SOURCES, Measured>;

/** The figures that the units are made of. @throws Error naming all that have not been measured */
export function readFigures(records: ScenarioRecord[]): Readings {
  const missing: string[] = [];
  const found = Object.entries(SOURCES).map(([name, source]) => {
    const record = records
      .find(({ scenario }) => scenario.name === source.scenario)
      ?.trials.find(({ trial }) => trial.name === source.trial);
    const value = record && summaryOf(record, 'city', source.figure)?.median;
    if (value === undefined) missing.push(`${source.scenario}/${source.trial} ${source.figure}`);
    return [name, { ...source, value: value ?? NaN }];
  });
  if (missing.length > 0) throw new Error(`not measured: ${missing.join(', ')}`);
  return Object.fromEntries(found) as Readings;
}

/** Deliveries of a message in fan-out/rooms-of-20, and the other node that hears of it. */
const DELIVERIES = 20;
/** Nodes that hear of a message in growth/nodes at its largest, besides the one that sends. */
const OTHERS = 3;

/** What noise made of a difference that cannot be negative is nothing. */
const atLeastZero = (value: number) => Math.max(0, value);

export function unitsOf(readings: Readings): Units {
  const value = (name: keyof Readings) => readings[name].value;
  const delivery = value('nodesPerDelivery');
  const hear = atLeastZero((value('heardByFour') - value('heardByOne')) / OTHERS);
  const nodes = value('allPerMessage') - value('postgresPerMessage') - value('redisPerMessage');
  return {
    send: atLeastZero(nodes - DELIVERIES * delivery - hear),
    delivery,
    hear,
    heartbeat: value('nodePerBeat'),
    connect: value('nodePerConnect'),
    memory: value('memoryPerConnection'),
    postgresSend: value('postgresPerMessage'),
    postgresConnect: value('postgresPerConnect'),
    redisSend: value('redisForOne'),
    redisHear: atLeastZero((value('redisForFour') - value('redisForOne')) / OTHERS),
    redisHeartbeat: value('redisPerBeat'),
  };
}
