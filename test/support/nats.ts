/** A real NATS server for a test: installed, or unpacked from the packages of the distribution. */
import { connect } from 'nats';
import type { ConnectionOptions, NatsConnection } from 'nats';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { canUnpack, unpackPackage } from '../../dev/services/debian-package.ts';
import { leash } from '../../dev/services/leash.ts';
import { freePort, programFolders, untilUp, versionOf } from '../../dev/services/programs.ts';

const UNPACKED = resolve(import.meta.dirname, '../../.data/nats-bin');

function natsBinary(): string {
  const kept = join(UNPACKED, 'usr/sbin/nats-server');
  const runs = (path: string) => versionOf(path) !== undefined;
  const found = () => [...programFolders().map((folder) => join(folder, 'nats-server')), kept].find(runs);
  const path = found();
  if (path) return path;
  const failure = canUnpack() ? unpackPackage('nats-server', UNPACKED, () => existsSync(kept)) : 'no apt-get';
  const unpacked = found();
  if (unpacked) return unpacked;
  throw new Error(`No NATS server for the tests (${failure}): install nats-server`);
}

export interface Nats {
  /** As NATS_URL has it, without credentials. */
  url: string;
  port: number;
  /** A client of it, closed when the server stops. */
  connect(): Promise<NatsConnection>;
  stop(): Promise<void>;
}

/** Starts it on 127.0.0.1; `args` go to nats-server, `credentials` are those that its clients here need. */
export async function startNats(
  args: string[] = [],
  { port: wanted, ...credentials }: ConnectionOptions = {},
): Promise<Nats> {
  const port = wanted ?? (await freePort());
  const server = leash(natsBinary(), ['-a', '127.0.0.1', '-p', String(port), ...args], {
    signal: 'TERM',
    graceS: 5,
  });
  const clients: NatsConnection[] = [];
  const open = async () => {
    const client = await connect({ servers: `127.0.0.1:${port}`, reconnect: false, ...credentials });
    clients.push(client);
    return client;
  };
  await untilUp('NATS', server, open);
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    connect: open,
    async stop() {
      await Promise.all(clients.map((client) => client.close()));
      await server.stop();
    },
  };
}
