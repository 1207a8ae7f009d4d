/** What an operator puts in front of the nodes: a TCP load balancer that asks each whether it is ready. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Member } from './city.ts';

const CHECK_EVERY_MS = 200;
const CHECK_TIMEOUT_MS = 1_000;

export interface Balancer {
  /**
   * One more address. Connections to it go to the next node that is ready, in turn; to a `sticky` one all to the same
   * node for as long as that is ready, which a default client needs for its first requests. To any when none is.
   */
  open(options?: { sticky?: boolean }): Promise<string>;
  close(): void;
}

export function createBalancer(nodes: Member[]): Balancer {
  const ready = new Set(nodes);
  const servers: Server[] = [];
  const connections = new Set<Socket>();
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

  const lead = (client: Socket, node: Member) => {
    const upstream = connect(Number(new URL(node.url).port), '127.0.0.1');
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      connections.add(from);
      from.setNoDelay(true);
      from.on('error', () => {
        if (from === upstream) ready.delete(node);
        to.destroy();
      });
      from.on('close', () => {
        connections.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  };

  return {
    async open({ sticky = false } = {}) {
      let at = turn++;
      const server = createServer((client) => {
        if (!sticky) at = turn++;
        for (let tries = 0; tries < nodes.length && !ready.has(nodes[at % nodes.length]!); tries++) at++;
        lead(client, nodes[at % nodes.length]!);
      });
      servers.push(server);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    close() {
      clearInterval(checking);
      for (const server of servers) server.close();
      for (const socket of connections) socket.destroy();
    },
  };
}
