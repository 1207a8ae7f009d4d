/** The loaded part of a room's log: ordered by `seq`, each message in the latest state seen. */
import type { Message } from './types.ts';

/**
 * Merges messages in. A message older than `low` is left out: it lies before the loaded part, and taking it in
 * would leave a hole that paging by `before_seq` never fills.
 */
export function merge(
  log: readonly Message[],
  incoming: readonly Message[],
  low: number,
): readonly Message[] {
  let changed = false;
  const byId = new Map(log.map((message) => [message.id, message]));
  for (const message of incoming) {
    if (message.seq < low) continue;
    const known = byId.get(message.id);
    if (known && known.change_seq >= message.change_seq) continue;
    byId.set(message.id, message);
    changed = true;
  }
  return changed ? [...byId.values()].sort((a, b) => a.seq - b.seq) : log;
}

export const highestChange = (messages: readonly Message[], from: number): number =>
  messages.reduce((highest, message) => Math.max(highest, message.change_seq), from);
