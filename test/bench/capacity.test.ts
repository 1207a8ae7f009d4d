/** The capacity page follows the measured costs: dearer units need more nodes, and a missing figure is named. */
import { describe, expect, it } from '@jest/globals';
import { drawRooms, nodesFor, oneNode, simulate } from '../../bench/capacity/model.ts';
import { CITIES, LIMITS } from '../../bench/capacity/page.ts';
import { readFigures, unitsOf } from '../../bench/capacity/units.ts';
import type { Readings, Units } from '../../bench/capacity/units.ts';

const UNITS: Units = {
  send: 100,
  delivery: 10,
  hear: 10,
  heartbeat: 200,
  connect: 500,
  memory: 15_000,
  postgresSend: 100,
  postgresConnect: 20,
  redisSend: 10,
  redisHear: 5,
  redisHeartbeat: 50,
};
const usual = CITIES.usual!;
const lively = CITIES.lively!;

describe('units', () => {
  it('are taken out of figures so that the parts add up to them', () => {
    const values = {
      allPerMessage: 500,
      postgresPerMessage: 120,
      redisPerMessage: 30,
      nodesPerDelivery: 8,
      heardByOne: 60,
      heardByFour: 120,
      redisForOne: 10,
      redisForFour: 25,
      nodePerBeat: 150,
      redisPerBeat: 40,
      nodePerConnect: 600,
      postgresPerConnect: 10,
      memoryPerConnection: 14_000,
    };
    const readings = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, { scenario: '', trial: '', figure: '', value }]),
    ) as Readings;
    const units = unitsOf(readings);
    expect(units.send + 20 * units.delivery + units.hear).toBe(500 - 120 - 30);
    expect(units).toMatchObject({ hear: 20, redisHear: 5, redisSend: 10, memory: 14_000 });
  });

  it('are not made up where nothing was measured', () => {
    expect(() => readFigures([])).toThrow(/not measured: .*connections\/idle-10000 resident_per_connection/);
  });
});

describe('the simulation', () => {
  it('adds up to the work that there is, however it is laid out', () => {
    const rooms = drawRooms(10_000, usual);
    const deliveries = rooms.reduce((sum, { open, messagesPerS }) => sum + open * messagesPerS, 0);
    for (const layout of ['spread', 'sharded', 'pinned'] as const) {
      const load = simulate(10_000, 7, layout, { ...UNITS, heartbeat: 0, connect: 0, hear: 0 }, usual);
      expect(load.deliveriesPerS).toBeCloseTo(deliveries);
      expect(load.busiest * 7).toBeGreaterThanOrEqual((deliveries * UNITS.delivery) / 1e6);
    }
  });

  it('repeats itself', () => {
    const once = () => simulate(10_000, 7, 'pinned', UNITS, usual);
    expect(once()).toEqual(once());
  });

  it('holds fewer people on a node when a frame costs more', () => {
    const dearer = oneNode({ ...UNITS, delivery: 20 }, lively, LIMITS).connections;
    expect(dearer).toBeLessThan(oneNode(UNITS, lively, LIMITS).connections);
  });

  it('is limited by memory when a connection takes much of it', () => {
    const { connections, load } = oneNode({ ...UNITS, memory: 1e6 }, usual, LIMITS);
    expect(connections).toBeLessThanOrEqual(LIMITS.nodeMemory / 1e6);
    expect(load.busiest).toBeLessThan(LIMITS.busy);
  });

  it('finds no number of nodes when hearing alone is too much, and finds one with rooms pinned', () => {
    const loud = { ...UNITS, hear: 200 };
    expect(nodesFor(1e6, 'spread', loud, lively, LIMITS)).toBeUndefined();
    expect(nodesFor(1e6, 'pinned', loud, lively, LIMITS)?.nodes).toBeGreaterThan(1);
  });
});
