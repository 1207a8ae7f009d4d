/** One transaction for all who ask while the one before is committed, so that none of them delays another. */
import { createBatcher } from '../platform/batcher.ts';
import { isTemporary } from '../platform/errors.ts';

/**
 * Runs `run` for those together who ask while it is under way. `run` answers the items in their order; impatient, it
 * answers `busy` for an item whose lock another transaction has. Such an item is run again by itself, patiently and
 * beside the others; so is each item of a run that failed for what one of them may have brought.
 */
export function createShared<Item, Result extends { outcome: string }>(
  run: (items: Item[], patient: boolean) => Promise<Result[]>,
): (item: Item) => Promise<Result> {
  const together = createBatcher(async (items: Item[]): Promise<(Result | undefined)[]> => {
    try {
      return await run(items, false);
    } catch (error) {
      if (isTemporary(error) || items.length === 1) throw error;
      return items.map(() => undefined);
    }
  });
  return async (item) => {
    const result = await together('', item);
    if (result && result.outcome !== 'busy') return result;
    const [own] = await run([item], true);
    return own!;
  };
}
