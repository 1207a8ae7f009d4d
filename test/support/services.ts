/** What global-setup.ts leaves for global-teardown.ts: jest loads each of them apart, in one process. */

interface Stoppable {
  stop(): Promise<void>;
}

const KEY = Symbol.for('city.test.services');

/** The servers of this test run, in the order they were started. */
export function servicesOfThisRun(): Stoppable[] {
  const shared = globalThis as { [KEY]?: Stoppable[] };
  return (shared[KEY] ??= []);
}

/** Stops them, last started first. */
export async function stopServices(): Promise<void> {
  for (const service of servicesOfThisRun().splice(0).reverse()) await service.stop();
}
