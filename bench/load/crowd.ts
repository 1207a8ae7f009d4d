/** Connecting many clients: so many at once, and those that a busy node sends away come again when it said. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Busy, openWire } from './wire.ts';
import type { Wire, WireOptions } from './wire.ts';

type Open = (options: WireOptions) => Promise<Wire>;

const ATTEMPTS = 10;

/** Calls `enter` for every client, `atOnce` at a time; rejects with the first failure that no new attempt mends. */
export async function openAll<Client>(
  clients: Client[],
  atOnce: number,
  enter: (client: Client, open: Open) => Promise<void>,
): Promise<{ retries: number }> {
  let retries = 0;
  let next = 0;
  const open: Open = async (options) => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await openWire(options);
      } catch (error) {
        if (!(error instanceof Busy) || attempt === ATTEMPTS) throw error;
        retries++;
        await sleep(error.retryAfterMs * (0.5 + Math.random()));
      }
    }
  };
  const work = async () => {
    while (next < clients.length) await enter(clients[next++]!, open);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, clients.length) }, work));
  return { retries };
}
