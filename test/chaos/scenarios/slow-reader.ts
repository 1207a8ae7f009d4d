/**
 * Somebody's client stops reading while their room gets much more than 1 MB: it costs the node next to nothing and the
 * others nothing at all, and when it reads again it comes back by itself with everything. What the node holds for it
 * is what was sent less what the kernel has (/proc/net/tcp: Linux only).
 */
import { readFile } from 'node:fs/promises';
import type { Socket as TcpSocket } from 'node:net';
import { loadavg } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRest } from '../../support/rest.ts';
import { connect } from '../../support/sockets.ts';
import { until } from '../../support/until.ts';
import { startChaosCity } from '../city.ts';
import type { Scenario } from '../scenario.ts';
import { follow } from './follower.ts';
import type { Follower } from './follower.ts';

const MB = 1024 * 1024;
const BODY = 'x'.repeat(10_000);
/** The machine of the smoke may stall while the node is to look. */
const SIZES = {
  smoke: { megabytes: 30, cutWithinMs: 5_000 },
  full: { megabytes: 100, cutWithinMs: 2_000 },
} as const;
const FLOODS_MAX = 3;
const AT_ONCE = 16;
const LOOK_EVERY_MS = 20;
const QUEUED_MAX = MB;
const GROWTH_MAX_MB = 20;

export const slowReader: Scenario = {
  name: 'slow-reader',
  promise:
    'a reader that stops is cut within 2 s over 1 MB queued, memory +< 20 MB, and resumes with everything',

  async run({ size, log }) {
    const city = await startChaosCity({ nodes: 1, workers: 0 });
    const node = city.nodes[0]!;
    const followers: Follower[] = [];
    const come = async (userId: string) => {
      const follower = follow(userId, node.url, await city.token(userId), roomId);
      followers.push(follower);
      await until(() => follower.joined, `${userId} joined`);
      return follower;
    };
    const rest = createRest(node.url, await city.token('u_founder'));
    const roomId = (await rest('POST', '/city/rooms', { name: 'Loud' })).body.id as string;
    const writer = await connect(`${node.url}/rooms`, await city.token('u_writer'), {
      transports: ['websocket'],
    });
    try {
      const peer = await come('u_peer');
      const reader = await come('u_reader');
      const waits: number[] = [];
      const send = async () => {
        const since = performance.now();
        await writer.call('room.message.send', { room_id: roomId, body: BODY });
        waits.push(performance.now() - since);
      };
      /** Sends `bytes` and keeps looking at what happens meanwhile. */
      const flood = async (bytes: number, look: () => Promise<void>) => {
        let left = bytes;
        let sending = true;
        const watching = (async () => {
          for (; sending; await sleep(LOOK_EVERY_MS)) await look();
        })();
        await Promise.all(
          Array.from({ length: AT_ONCE }, async () => {
            while ((left -= BODY.length) >= 0) await send();
          }),
        );
        sending = false;
        await watching;
      };
      /** The highest resident memory of the node over a flood, in MB. */
      const peakOver = async (bytes: number, look = async () => {}) => {
        let peak = 0;
        await flood(bytes, async () => {
          peak = Math.max(peak, await residentMb(node.pid()));
          await look();
        });
        return peak;
      };

      // The same flood with everybody reading, for what it costs anyhow, until a collection has shown how far it goes.
      const bytes = SIZES[size].megabytes * MB;
      let calm = 0;
      for (let peak = await peakOver(bytes); peak > calm; peak = await peakOver(bytes)) calm = peak;
      const calmWaits = waits.splice(0).sort((a, b) => a - b);

      const socket = tcpOf(reader);
      const port = socket.localPort!;
      // It comes back when it is told to: what a resume costs is not what a stall costs.
      reader.socket.io.reconnection(false);
      socket.pause();
      const from = peer.at!;
      let overSince: number | undefined;
      let cutAfter: number | undefined;
      let most = 0;
      const look = async () => {
        if (cutAfter !== undefined) return;
        const now = performance.now();
        const queue = await kernelHolds(port);
        if (queue === undefined || (await slowReadersCut(node.opsUrl)) > 0) {
          cutAfter = overSince === undefined ? 0 : now - overSince;
          return;
        }
        const held = (peer.at! - from) * BODY.length - queue;
        most = Math.max(most, held);
        if (held > QUEUED_MAX) overSince ??= now;
      };
      let stalled = 0;
      let floods = 0;
      // A kernel may take most of one, and a fast machine be through with it before the node has looked.
      for (; cutAfter === undefined && floods < FLOODS_MAX; floods++)
        stalled = Math.max(stalled, await peakOver(bytes, look));
      const stalledWaits = waits.sort((a, b) => a - b);
      log(`${(floods * bytes) / MB} MB past a reader that stalls; cut after ${cutAfter}`);

      socket.resume();
      if (cutAfter !== undefined) await until(() => !reader.socket.connected, 'the reader aware of it');
      reader.socket.io.reconnection(true);
      reader.socket.connect();
      await until(() => reader.joined && reader.at === peer.at, 'the reader back with everything', 60_000);
      const growth = stalled - calm;
      const problems = followers.flatMap(({ problems }) => problems);
      if (cutAfter === undefined) problems.push('the reader was not cut');
      else if (cutAfter > SIZES[size].cutWithinMs)
        problems.push(`the reader was cut after ${Math.round(cutAfter)} ms`);
      if (growth >= GROWTH_MAX_MB) problems.push(`the node grew by ${Math.round(growth)} MB`);
      if (!peer.socket.connected) problems.push('the peer was cut too');
      return {
        figures: {
          'sent past it': `${(floods * bytes) / MB} MB`,
          'cut after 1 MB': `${Math.round(cutAfter ?? NaN)} ms`,
          'most held': `${(most / MB).toFixed(1)} MB`,
          'memory, all reading': `${Math.round(calm)} MB`,
          'memory, one stalled': `${Math.round(stalled)} MB`,
          'ack p99, all reading': `${Math.round(p99(calmWaits))} ms`,
          'ack p99, one stalled': `${Math.round(p99(stalledWaits))} ms`,
          'load average': loadavg()[0]!.toFixed(1),
        },
        problems: [...problems, ...city.accidents()],
      };
    } finally {
      for (const { socket } of followers) socket.close();
      writer.close();
      await city.stop();
    }
  },
};

const p99 = (sorted: number[]) => sorted[Math.floor((sorted.length - 1) * 0.99)] ?? NaN;

/** The TCP socket under a client. */
const tcpOf = ({ socket }: Follower) =>
  (socket.io.engine.transport as unknown as { ws: { _socket: TcpSocket } }).ws._socket;

/** Bytes that the kernel holds for the connection of a local port, on both sides; undefined once it has gone. */
async function kernelHolds(port: number): Promise<number | undefined> {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const tables = await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8')));
  const ESTABLISHED = '01';
  const rows = tables
    .flatMap((table) => table.split('\n').slice(1))
    .map((row) => row.trim().split(/\s+/))
    .filter(([, local, remote]) => local?.endsWith(hex) || remote?.endsWith(hex));
  if (!rows.some(([, , remote, state]) => remote?.endsWith(hex) && state === ESTABLISHED)) return undefined;
  return rows.reduce((sum, row) => {
    const [out, into] = row[4]!.split(':');
    return sum + parseInt(out!, 16) + parseInt(into!, 16);
  }, 0);
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

async function slowReadersCut(opsUrl: string): Promise<number> {
  const text = await (await fetch(`${opsUrl}/metrics`)).text();
  return Number(/^city_slow_readers_cut_total (\d+)/m.exec(text)?.[1] ?? 0);
}
