/** A TCP proxy in front of a service, whose open connections can be made to die without a word. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface Proxy {
  port: number;
  /** Stops forwarding on every connection that is open now, and keeps their sockets; new ones are served. */
  blackhole(onSwallowed?: (data: Buffer) => void): void;
  close(): Promise<void>;
}

/** Listens on `port`, or a free one. */
export async function startProxy(targetPort: number, port = 0): Promise<Proxy> {
  const open = new Set<[Socket, Socket]>();
  const server = createServer((client) => {
    const upstream = connect(targetPort, '127.0.0.1');
    const pair: [Socket, Socket] = [client, upstream];
    open.add(pair);
    for (const [from, to] of [pair, [upstream, client]] as const) {
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        to.destroy();
        open.delete(pair);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    blackhole(onSwallowed = () => {}) {
      for (const pair of open) {
        for (const socket of pair) {
          socket.unpipe();
          socket.removeAllListeners('data').on('data', onSwallowed).resume();
        }
      }
    },
    async close() {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      for (const pair of open) for (const socket of pair) socket.destroy();
      await closed;
    },
  };
}
