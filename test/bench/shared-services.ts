/** Services whose clusters stay up for the next trial that asks for the same: for trying the bench, not for figures. */
import type { Cluster, ClusterOptions, Services } from '../../bench/services.ts';
import type { ServerName } from '../../bench/scenario.ts';

export function shareClusters(services: Services): Services {
  const kept = new Map<string, Promise<Cluster>>();
  return {
    ...services,
    async start(server: ServerName, options: ClusterOptions = {}) {
      const { nodes = 1, workers = 0, databaseUrl, ...others } = options;
      // A trial that brings its own database or settings goes on with what it has started.
      if (databaseUrl !== undefined || Object.keys(others).length > 0) return services.start(server, options);
      const key = `${server} ${nodes} ${workers}`;
      const cluster = kept.get(key) ?? services.start(server, options);
      kept.set(key, cluster);
      return { ...(await cluster), stop: async () => {} };
    },
  };
}
