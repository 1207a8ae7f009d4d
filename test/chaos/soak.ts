/** The soak: an hour of clients that come, talk and go, with the heap of every node measured when all are gone. */
import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { createRest } from '../support/rest.ts';
import { until } from '../support/until.ts';
import { startChaosCity } from './city.ts';
import type { ChaosCity, Holdings } from './city.ts';
import { createRandom } from './random.ts';

const ROOMS = 40;
/** Few enough that what is kept of each is all there early on. */
const USERS = 500;
const AT_ONCE = 20;
const ROUND_MS = 60_000;
const QUIET_MS = 3_000;
/** Samples before this share of the run are warm-up. */
const WARM_UP = 0.34;
const SLOPE_MAX_BYTES = 1_000_000;
const TEN_MINUTES = 10;

export interface SoakResult {
  /** Bytes of heap that every node gained in ten minutes, by a straight line through the samples. */
  slopes: { node: string; bytesPerTenMinutes: number; first: Holdings; last: Holdings; samples: number }[];
  visits: number;
  problems: string[];
}

/** Soaks for `minutes`; one sample of each node a round. */
export async function soak(minutes: number, seed: number, log: (line: string) => void): Promise<SoakResult> {
  const random = createRandom(seed);
  const problems: string[] = [];
  const city = await startChaosCity({ nodes: 3, workers: 1, nodeArgs: ['--expose-gc'] });
  try {
    const rest = createRest(city.nodes[0]!.url, await city.token('u_soak'));
    const rooms: string[] = [];
    for (let n = 0; n < ROOMS; n++) {
      rooms.push(
        (await rest('POST', '/city/rooms', { name: `soak ${n}`, slug: `soak-${n}` })).body.id as string,
      );
    }
    const samples = city.nodes.map(() => [] as { minute: number; held: Holdings }[]);
    const began = performance.now();
    let visits = 0;
    while (performance.now() - began < minutes * 60_000) {
      const roundEnds = performance.now() + Math.min(ROUND_MS, minutes * 15_000);
      const visitors = Array.from({ length: AT_ONCE }, async () => {
        while (performance.now() < roundEnds) {
          await visit(city, rooms, random).catch((error: unknown) =>
            problems.push(`a visit failed: ${String(error)}`),
          );
          visits++;
        }
      });
      await Promise.all(visitors);
      await until(() => isEmpty(city), 'everybody is gone', 20_000).catch((error: unknown) =>
        problems.push(String(error)),
      );
      await sleep(QUIET_MS);
      const minute = (performance.now() - began) / 60_000;
      for (const [index, node] of city.nodes.entries())
        samples[index]!.push({ minute, held: await node.inspect() });
      const heaps = samples.map((each) => `${(each.at(-1)!.held.heapBytes / 1e6).toFixed(1)} MB`);
      log(`minute ${minute.toFixed(1)}: ${visits} visits, heaps ${heaps.join(', ')}`);
    }
    const slopes = samples.map((all, index) => {
      const kept = all.slice(Math.floor(all.length * WARM_UP));
      const bytesPerTenMinutes =
        slope(kept.map(({ minute, held }) => [minute, held.heapBytes])) * TEN_MINUTES;
      const node = city.nodes[index]!.name;
      const [first, last] = [kept[0]!.held, kept.at(-1)!.held];
      if (bytesPerTenMinutes > SLOPE_MAX_BYTES)
        problems.push(`${node}: ${Math.round(bytesPerTenMinutes)} bytes in ten minutes`);
      for (const [kind, count] of Object.entries(last.resources)) {
        const before = first.resources[kind] ?? 0;
        if (count > before + 10)
          problems.push(`${node}: ${before} open handles of kind ${kind} became ${count}`);
      }
      return { node, bytesPerTenMinutes, first, last, samples: kept.length };
    });
    return { slopes, visits, problems: [...problems, ...city.accidents()] };
  } finally {
    await city.stop();
  }
}

/** One client's stay: it comes, does a little of everything, and goes, politely or not. */
async function visit(city: ChaosCity, rooms: string[], random: () => number): Promise<void> {
  const pick = <T>(among: T[]): T => among[Math.floor(random() * among.length)]!;
  const userId = `u_soak_${Math.floor(random() * USERS)}`;
  const auth = { token: await city.token(userId) };
  const { url } = pick(city.nodes);
  const socket = io(`${url}/rooms`, {
    auth,
    forceNew: true,
    transports: random() < 0.8 ? ['websocket'] : ['polling'],
  });
  const presence = socket.io.socket('/presence', { auth });
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    });
    const ask = (name: string, payload: object) => socket.timeout(10_000).emitWithAck(name, payload);
    const room_id = pick(rooms);
    await ask('room.join', { room_id });
    await ask('feed.subscribe', { scope: 'city' });
    presence.emit('presence.heartbeat', {}, () => {});
    for (let n = Math.floor(random() * 3); n >= 0; n--) {
      await ask('room.typing', { room_id, typing: true });
      await ask('room.message.send', { room_id, body: `soaked ${random()}` });
      await sleep(random() * 500);
    }
    if (random() < 0.5) await ask('room.leave', { room_id });
  } finally {
    if (random() < 0.3) socket.io.engine?.close();
    socket.close();
    presence.close();
  }
}

async function isEmpty(city: ChaosCity): Promise<boolean> {
  const counts = await Promise.all(
    city.nodes.map(async ({ opsUrl }) => {
      const metrics = await (await fetch(`${opsUrl}/metrics`)).text();
      return [...metrics.matchAll(/^city_sockets\{[^}]*\} (\d+)/gm)].reduce(
        (sum, [, count]) => sum + Number(count),
        0,
      );
    }),
  );
  return counts.every((count) => count === 0);
}

/** The slope of the straight line that fits best. */
function slope(points: [number, number][]): number {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [mx, my] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))];
  const over = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  const under = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
  return under === 0 ? 0 : over / under;
}
