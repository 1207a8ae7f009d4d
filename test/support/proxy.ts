/** A TCP proxy in front of a service, whose open connections can be made to die without a word. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface Proxy {
  port: number;
  /** Stops forwarding on every connection that is open now, and keeps their sockets; new ones are served. */
  blackhole(): void;
  close(): Promise<void>;
}

export async function startProxy(targetPort: number): Promise<Proxy> {
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
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    blackhole() {
      for (const pair of open) {
        for (const socket of pair) {
          socket.unpipe();
          socket.removeAllListeners('data').resume();
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
