/** Five hundred users who flap ten times a second, and what the others notice of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import type { ChaosCity } from '../city.ts';
import { connect } from '../../support/sockets.ts';
import { until } from '../../support/until.ts';
import type { ScenarioResult } from '../scenario.ts';

const USERS = 500;
const FLAPS_A_SECOND = 10;
const LASTS_MS = 20_000;
const CANARY_EVERY_MS = 50;
/** Milliseconds within which 99 of 100 messages are acknowledged meanwhile. */
const CANARY_P99_MS = 500;

const percentile = (sorted: number[], share: number) =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;

/** Seconds of CPU that a process of this machine has used. */
async function cpuOf(opsUrl: string): Promise<number> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)/m.exec(text)?.[1]);
}

/** Adds to `figures` and `problems`; the canary's own user and all who flap are gone when it resolves. */
export async function stormOfPresence(
  city: ChaosCity,
  figures: ScenarioResult['figures'],
  problems: string[],
): Promise<void> {
  const sockets: Socket[] = [];
  for (let n = 0; n < USERS; n++) {
    const { url } = city.nodes[n % city.nodes.length]!;
    const auth = { token: await city.token(`u_flapper_${n}`) };
    sockets.push(io(`${url}/presence`, { auth, forceNew: true, transports: ['websocket'] }));
    if (n % 50 === 49) await until(() => sockets.every(({ connected }) => connected), 'a batch is here');
  }
  const canary = await connect(`${city.nodes[0]!.url}/rooms`, await city.token('u_canary'));
  await canary.call('room.join', { room_id: 'room_city_general' });
  const acks: number[] = [];
  const refusals: string[] = [];
  const own = monitorEventLoopDelay({ resolution: 10 });
  const cpuBefore = await Promise.all(city.nodes.map(({ opsUrl }) => cpuOf(opsUrl)));
  own.enable();
  const start = performance.now();
  let flaps = 0;
  const storm = async () => {
    const perSlice = (USERS * FLAPS_A_SECOND) / 100;
    while (performance.now() - start < LASTS_MS) {
      const due = ((performance.now() - start) / 10) * perSlice;
      for (; flaps < due; flaps++) {
        const status = Math.floor(flaps / USERS) % 2 === 0 ? 'away' : 'online';
        sockets[flaps % USERS]!.emit('presence.heartbeat', { status });
      }
      await sleep(10);
    }
  };
  const chat = async () => {
    while (performance.now() - start < LASTS_MS) {
      const sent = performance.now();
      const answer = await canary.ack('room.message.send', {
        room_id: 'room_city_general',
        body: 'still here',
      });
      acks.push(performance.now() - sent);
      if (!answer.ok) refusals.push(answer.error.code);
      await sleep(CANARY_EVERY_MS);
    }
  };
  try {
    await Promise.all([storm(), chat()]);
    own.disable();
    const took = (performance.now() - start) / 1000;
    const cpuAfter = await Promise.all(city.nodes.map(({ opsUrl }) => cpuOf(opsUrl)));
    acks.sort((a, b) => a - b);
    const p99 = percentile(acks, 0.99);
    figures['storm: flaps a second'] = Math.round(flaps / took);
    figures['storm: canary acks'] = acks.length;
    figures['storm: canary refusals'] = refusals.length;
    if (refusals.length > 0) problems.push(`storm: the canary was refused: ${refusals[0]}`);
    figures['storm: canary ack p50, ms'] = Math.round(percentile(acks, 0.5));
    figures['storm: canary ack p99, ms'] = Math.round(p99);
    figures['storm: loop delay of the driver p99, ms'] = Math.round(own.percentile(99) / 1e6);
    figures['storm: CPU of the nodes'] = cpuAfter
      .map((after, i) => `${Math.round(((after - cpuBefore[i]!) / took) * 100)} %`)
      .join(', ');
    if (!(p99 < CANARY_P99_MS)) {
      problems.push(`storm: 99 of 100 acks within ${Math.round(p99)} ms, not ${CANARY_P99_MS}`);
    }
  } finally {
    for (const socket of sockets) socket.close();
    canary.close();
  }
}
