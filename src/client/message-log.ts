/** A part of a room's log as a sorted list: from some `seq` up, each message once and in its latest state. */
import type { Message } from '../contract/messages.ts';

/** The index of `seq` in `log`, or where it would be. */
function indexOf(log: readonly Message[], seq: number): number {
  let low = 0;
  let high = log.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (log[middle]!.seq < seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** `log` with `incoming` in it, as far as it does not lie before `low`; the same list when nothing is new. */
export function merge(
  log: readonly Message[],
  incoming: readonly Message[],
  low: number,
): readonly Message[] {
  let next: Message[] | null = null;
  for (const message of incoming) {
    if (message.seq < low) continue;
    const now = next ?? log;
    const index = indexOf(now, message.seq);
    const known = now[index];
    if (known?.seq !== message.seq) (next ??= [...log]).splice(index, 0, message);
    else if (known.change_seq < message.change_seq) (next ??= [...log])[index] = message;
  }
  return next ?? log;
}

export const highestChange = (messages: readonly Message[], atLeast: number): number =>
  messages.reduce((highest, { change_seq }) => Math.max(highest, change_seq), atLeast);
