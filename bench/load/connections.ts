/** A load of connections that do nothing: how fast they get in, and whether they stay. */
import { nowUs } from './clock.ts';
import { openAll } from './crowd.ts';
import type { Wire } from './wire.ts';

export interface ConnectionsOptions {
  clients: { url: string; token: string }[];
  namespaces: string[];
}

export type ConnectionsLoad = ReturnType<typeof create>;

export function create({ clients, namespaces }: ConnectionsOptions) {
  const wires: Wire[] = [];
  const losses: string[] = [];

  return {
    /** Opens them all, `atOnce` at a time; seconds that it took, and how often a busy node sent one away. */
    async connect({ atOnce }: { atOnce: number }): Promise<{ seconds: number; retries: number }> {
      const began = nowUs();
      const { retries } = await openAll(clients, atOnce, async ({ url, token }, open) => {
        const auth = `{"token":"${token}"}`;
        const onLost = (reason: string) => losses.push(`a connection was lost: ${reason}`);
        wires.push(await open({ url, namespaces, auth, onLost }));
      });
      return { seconds: (nowUs() - began) / 1e6, retries };
    },

    /** What went wrong since they were opened. */
    async verify(): Promise<string[]> {
      return losses.length > 0 ? [`${losses.length} of ${wires.length}: ${losses[0]}`] : [];
    },

    async close(): Promise<void> {
      for (const wire of wires.splice(0)) wire.close();
    },
  };
}
