/** A deploy in the middle of the day: every node is stopped and started again in turn while everybody talks. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createRest } from '../../support/rest.ts';
import { until } from '../../support/until.ts';
import { createBalancer } from '../balancer.ts';
import { startChaosCity } from '../city.ts';
import type { ChaosCity } from '../city.ts';
import { startClient } from '../clients.ts';
import type { Client } from '../clients.ts';
import { readRoom } from '../history.ts';
import { checkLog } from '../invariants.ts';
import { createLedger } from '../ledger.ts';
import { createRandom } from '../random.ts';
import type { Scenario, ScenarioResult, Size } from '../scenario.ts';

/** Messages a second over all clients; how often each node is restarted; how many errors pass. */
const SIZES = {
  // A thousand sends do not tell 0.1 % from 0.3 %, and a busy machine has more of them on the way.
  smoke: { rate: 60, rounds: 1, clients: 24, rooms: 12, errorsMax: 0.01 },
  full: { rate: 200, rounds: 2, clients: 40, rooms: 20, errorsMax: 0.001 },
};
/** Between a node that is back and the next that goes, as a deploy waits for what it has just started. */
const PAUSE_MS = 1_500;
const SETTLE_MS = 30_000;

async function restartAll(city: ChaosCity, size: Size, log: (line: string) => void): Promise<ScenarioResult> {
  const { rate, rounds, clients: crowd, rooms: count, errorsMax } = SIZES[size];
  const problems: string[] = [];
  const ledger = createLedger();
  const random = createRandom(3);
  const balancer = createBalancer(city.nodes);
  const rest = createRest(await balancer.open({ sticky: true }), await city.token('u_auditor'));
  const rooms: string[] = [];
  for (let n = 0; n < count; n++) {
    rooms.push((await rest('POST', '/city/rooms', { name: `Deploy ${n}` })).body.id as string);
  }
  const people: { rooms: string[]; client: Client }[] = [];
  for (let n = 0; n < crowd; n++) {
    const userId = `u_deploy_${n}`;
    const own = [rooms[n % count]!, rooms[(n + 1) % count]!];
    people.push({
      rooms: own,
      client: startClient({
        url: await balancer.open({ sticky: true }),
        token: await city.token(userId, { name: `Person ${n}` }),
        userId,
        rooms: own,
        ledger,
        random,
        // What a default client does.
        transports: ['polling', 'websocket'],
        careless: false,
      }),
    });
  }
  let reconnects = 0;
  const reasons = new Map<string, number>();
  let talking = true;
  const drains: number[] = [];
  try {
    await until(
      () => people.every(({ client }) => client.isCurrent()),
      'every client has its rooms',
      SETTLE_MS,
    );
    for (const { client } of people) {
      client.socket.on('disconnect', (reason) => {
        reconnects += 1;
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      });
    }

    // As people do, each speaks at its own moments and not twice at once, acknowledged or not.
    const from = performance.now();
    const speakers = people.map(async ({ client, rooms: own }) => {
      const gap = (1_000 * people.length) / rate;
      let next = performance.now() + random() * gap;
      for (let n = 0; talking; n++) {
        await sleep(Math.max(next - performance.now(), 0));
        next += gap * (0.5 + random());
        if (talking) client.send(own[n % own.length]!);
      }
    });

    for (let round = 1; round <= rounds; round++) {
      for (const node of city.nodes) {
        await sleep(PAUSE_MS);
        const asked = performance.now();
        const code = await node.kill('SIGTERM');
        drains.push(performance.now() - asked);
        if (code !== 0) problems.push(`${node.name} exited with ${code} in round ${round}`);
        await node.start();
        log(`${node.name} is back, round ${round}; it took ${Math.round(drains.at(-1)!)} ms to stop`);
      }
    }
    await sleep(PAUSE_MS);
    talking = false;
    await Promise.all(speakers);
    const lasted = performance.now() - from;
    const settled = (what: string, done: () => boolean) =>
      until(done, what, SETTLE_MS).catch((error: unknown) => void problems.push(String(error)));
    await settled('everything is acknowledged', () => people.every(({ client }) => client.pending() === 0));
    const stored = await Promise.all(rooms.map((id) => readRoom(rest, id)));
    const heads = new Map(stored.map(({ id, last_change_seq }) => [id, last_change_seq]));
    await settled('every reader has seen the end of its rooms', () =>
      ledger.views.every(({ room, seen }) => seen >= heads.get(room)!),
    );

    problems.push(...checkLog(ledger, stored).map(({ invariant, what }) => `${invariant}: ${what}`));
    problems.push(...ledger.refusals.map((refusal) => `not retryable: ${refusal}`), ...city.accidents());
    const sends = ledger.sends.length;
    const errors = ledger.sends.reduce((sum, { attempts }) => sum + attempts - 1, 0);
    if (errors > sends * errorsMax) problems.push(`${errors} of ${sends} sends had to be repeated`);
    const waits = ledger.sends
      .map(({ sentAt, ackedAt = Infinity }) => ackedAt - sentAt)
      .sort((a, b) => a - b);
    const deliveries = ledger.views.flatMap(({ sessions }) => sessions.flatMap(({ live }) => live)).length;
    return {
      problems,
      figures: {
        restarts: drains.length,
        sends,
        'sends a second': Math.round((sends / lasted) * 1_000),
        'live deliveries': deliveries,
        reconnects: `${reconnects} (${[...reasons].map(([reason, times]) => `${reason} ${times}`).join(', ')})`,
        errors,
        'errors %': Number(((errors / sends) * 100).toFixed(3)),
        'slowest stop, ms': Math.round(Math.max(...drains)),
        'ack p50, ms': Math.round(waits[Math.floor(waits.length / 2)]!),
        'ack p99, ms': Math.round(waits[Math.floor(waits.length * 0.99)]!),
        'slowest ack, ms': Math.round(waits.at(-1)!),
      },
    };
  } finally {
    talking = false;
    for (const { client } of people) client.close();
    balancer.close();
  }
}

export const rollingRestart: Scenario = {
  name: 'rolling-restart',
  promise:
    'All nodes restarted in turn under load: nothing lost, repeated or reordered, errors < 0.1 %, all retryable',
  async run({ size, log }) {
    const city = await startChaosCity({ nodes: 3, workers: 0 });
    try {
      return await restartAll(city, size, log);
    } finally {
      await city.stop();
    }
  },
};
