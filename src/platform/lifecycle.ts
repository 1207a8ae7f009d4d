/** Resources that are released in the reverse order of their making, within a deadline. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from './logger.ts';

export function createLifecycle(log: Logger) {
  const resources: { name: string; release: () => Promise<void> | void }[] = [];
  return {
    /** Names what releases a resource that was just made. */
    add(name: string, release: () => Promise<void> | void): void {
      resources.push({ name, release });
    },
    /** Releases everything, last made first. A failure or a resource that hangs past `deadlineMs` stops no other. */
    async release(deadlineMs: number): Promise<void> {
      const deadline = Date.now() + deadlineMs;
      for (const { name, release } of resources.splice(0).reverse()) {
        const timer = new AbortController();
        const late = sleep(Math.max(deadline - Date.now(), 500), 'late', { signal: timer.signal });
        late.catch(() => {});
        const released = Promise.resolve().then(release);
        const outcome = await Promise.race([released, late]).catch((error: unknown) => {
          log.error({ err: error, resource: name }, 'a resource was not released');
        });
        if (outcome === 'late') log.error({ resource: name }, 'a resource was not released in time');
        timer.abort();
      }
    },
  };
}
