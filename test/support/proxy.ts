/** A TCP proxy in front of a service, whose line can be made to fail in every way that a network does. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** Which way bytes flow: to the service, or to its client. */
export type Direction = 'to_service' | 'to_client';

/** What the line does to bytes, until `pass()`. */
interface Weather {
  /** Directions in which nothing arrives. */
  holds: Direction[];
  delayMs: number;
  bytesPerSecond: number;
  refuses: boolean;
}

const FAIR: Weather = { holds: [], delayMs: 0, bytesPerSecond: Infinity, refuses: false };

export interface Proxy {
  port: number;
  /** Ends every fault; what was held back arrives, as after a partition. */
  pass(): void;
  /** Forwards nothing in these directions, on open connections and on new ones, and keeps their sockets. */
  blackhole(...directions: Direction[]): void;
  /** Open connections die for good without a word and keep their sockets; new ones are served. Tells what came in vain. */
  strand(onSwallowed?: (data: Buffer) => void): void;
  /** Resets every open connection; new ones are served. */
  reset(): void;
  /** Resets every open connection and every new one. */
  refuse(): void;
  /** Every byte arrives this much later. */
  delay(ms: number): void;
  throttle(bytesPerSecond: number): void;
  /**
   * Once: after so many more bytes in `direction` have arrived, the connection that carried the last of them is
   * reset for the client, with no answer; resolves when that has happened.
   */
  cutAfter(bytes: number, direction?: Direction): Promise<void>;
  close(): Promise<void>;
}

/** Starts a proxy on 127.0.0.1, on `port` or a free one, in front of `targetPort`. */
export async function startProxy(targetPort: number, port = 0): Promise<Proxy> {
  const open = new Set<[Socket, Socket]>();
  let weather = FAIR;
  const waiting = new Set<() => void>();
  let cut: { left: number; direction: Direction; done: () => void } | undefined;

  const become = (next: Partial<Weather>) => {
    weather = { ...FAIR, ...next };
    for (const look of waiting) look();
    waiting.clear();
  };

  /** Lets bytes through as the weather has it. */
  const gate = (direction: Direction, sever: () => void) => {
    const through = async (gate: Transform, chunk: Buffer) => {
      while (weather.holds.includes(direction)) {
        await new Promise<void>((look) => void waiting.add(look));
      }
      const { delayMs, bytesPerSecond } = weather;
      if (bytesPerSecond < Infinity) await sleep((chunk.length / bytesPerSecond) * 1000);
      if (cut?.direction === direction && (cut.left -= chunk.length) <= 0) {
        const { left, done } = cut;
        cut = undefined;
        gate.push(chunk.subarray(0, chunk.length + left));
        setImmediate(() => (sever(), done()));
        return;
      }
      if (delayMs > 0) setTimeout(() => gate.push(chunk), delayMs);
      else gate.push(chunk);
    };
    return new Transform({
      transform(chunk: Buffer, _encoding, next) {
        through(this, chunk).then(() => next(), next);
      },
      flush: (end) => void setTimeout(end, weather.delayMs),
    });
  };

  const reset = () => {
    for (const pair of open) for (const socket of pair) socket.resetAndDestroy();
  };

  const server = createServer({ noDelay: true }, (client) => {
    client.on('error', () => {});
    if (weather.refuses) return void client.resetAndDestroy();
    const service = connect({ port: targetPort, host: '127.0.0.1', noDelay: true });
    const pair: [Socket, Socket] = [client, service];
    open.add(pair);
    // The service gets its last bytes and an orderly end; the client only learns that the line is dead.
    const sever = () => (service.end(), client.resetAndDestroy());
    client.pipe(gate('to_service', sever)).pipe(service);
    service.pipe(gate('to_client', sever)).pipe(client);
    for (const [from, to] of [pair, [service, client]] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => {
        if (from.readableAborted || from.errored) to.destroy();
        if (to.destroyed) open.delete(pair);
      });
    }
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');

  return {
    port: (server.address() as AddressInfo).port,
    pass: () => become({}),
    blackhole: (...directions) =>
      become({ holds: directions.length > 0 ? directions : ['to_service', 'to_client'] }),
    strand(onSwallowed = () => {}) {
      for (const pair of open) {
        for (const socket of pair)
          socket.unpipe().removeAllListeners('data').on('data', onSwallowed).resume();
      }
    },
    reset,
    refuse() {
      become({ refuses: true });
      reset();
    },
    delay: (delayMs) => become({ delayMs }),
    throttle: (bytesPerSecond) => become({ bytesPerSecond }),
    cutAfter: (bytes, direction = 'to_service') =>
      new Promise<void>((done) => (cut = { left: bytes, direction, done })),
    async close() {
      become({});
      const closed = once(server, 'close');
      server.close();
      for (const pair of open) for (const socket of pair) socket.destroy();
      await closed;
    },
  };
}
