/** What an operator puts in front of the nodes: a TCP load balancer that asks each whether it is ready. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import type { Member } from './city.ts';

const CHECK_EVERY_MS = 500;
const CHECK_TIMEOUT_MS = 1_000;

export interface Balancer {
  url: string;
  close(): Promise<void>;
}

/** Gives each new connection to the next node that is ready; to any when none is. */
export async function startBalancer(nodes: Member[]): Promise<Balancer> {
  const ready = new Set(nodes);
  const open = new Set<Socket>();
  let turn = 0;

  const check = async (node: Member) => {
    const up = await fetch(`${node.url}/health/ready`, {
      signal: AbortSignal.timeout(CHECK_TIMEOUT_MS),
    }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (up) ready.add(node);
    else ready.delete(node);
  };
  const checking = setInterval(() => void Promise.all(nodes.map(check)), CHECK_EVERY_MS);

  const server = createServer((client) => {
    const among = ready.size > 0 ? nodes.filter((node) => ready.has(node)) : nodes;
    const node = among[turn++ % among.length]!;
    const upstream = connect(Number(new URL(node.url).port), '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      open.add(from);
      from.setNoDelay(true);
      from.on('error', () => {
        if (from === upstream) ready.delete(node);
        to.destroy();
      });
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      clearInterval(checking);
      const closed = once(server, 'close');
      server.close();
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}
