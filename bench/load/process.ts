/** A process of the load generator: builds the load that it is told to, and calls its functions as it is asked to. */
import type { Load } from './generator.ts';

/** From the bench: the first says what to build. */
export type Order = { module: string; options: unknown } | { id: number; name: string; argument: unknown };
/** To the bench; the id of the order that made the load is 0. */
export type Report = { id: number; result?: unknown; error?: string };

let load: Load = {};

async function follow(order: Order): Promise<unknown> {
  if ('module' in order) {
    const { create } = (await import(order.module)) as { create: (options: unknown) => Load };
    load = create(order.options);
    return undefined;
  }
  return load[order.name]!(order.argument);
}

process.on('message', (order: Order) => {
  const id = 'id' in order ? order.id : 0;
  follow(order).then(
    (result) => process.send!({ id, result } satisfies Report),
    (error: unknown) =>
      process.send!({ id, error: error instanceof Error ? error.stack! : String(error) } satisfies Report),
  );
});
process.on('disconnect', () => process.exit());
