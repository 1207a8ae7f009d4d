/** Waiting for a condition, with a deadline that names it. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves with the first truthy value of `look`; rejects after `deadlineMs` naming `what`. */
export async function until<T>(
  look: () => T | Promise<T>,
  what: string,
  deadlineMs = 10_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`did not happen in ${deadlineMs} ms: ${what}`);
    await sleep(10);
  }
}
