/**
 * What was sent against what arrived: every subscriber gets every message of its room once, each sender's in the order
 * in which they were sent. Keeps one number a subscriber and sender, so that it costs a fan-out next to nothing.
 */

/** What a subscriber got wrong, in messages. */
export interface Faults {
  lost: number;
  duplicates: number;
  disordered: number;
}

export interface Reader {
  /** Counts the arrival of message `n` (from 1) of a sender of the room. */
  saw(sender: number, n: number): void;
  /** Counts the number that the server gave a message, where it promises them without a gap. */
  sawNumber(seq: number): void;
  /** Whether it has everything, `sent` being how many messages each sender of its room has sent. */
  isComplete(sent: ArrayLike<number>): boolean;
  faults(sent: ArrayLike<number>): Faults;
}

export function createReader(senders: number): Reader {
  const last = new Int32Array(senders);
  /** Messages that a later one overtook; `sender:n`. Empty while all is well. */
  const missing = new Set<string>();
  let duplicates = 0;
  let disordered = 0;
  let lastNumber = 0;

  return {
    saw(sender, n) {
      const expected = last[sender]! + 1;
      if (n === expected) {
        last[sender] = n;
      } else if (n > expected) {
        for (let between = expected; between < n; between++) missing.add(`${sender}:${between}`);
        last[sender] = n;
      } else if (missing.delete(`${sender}:${n}`)) disordered++;
      else duplicates++;
    },
    sawNumber(seq) {
      if (lastNumber !== 0 && seq !== lastNumber + 1) disordered++;
      lastNumber = seq;
    },
    isComplete: (sent) => missing.size === 0 && last.every((n, sender) => n >= sent[sender]!),
    faults(sent) {
      // A message that nobody has sent counts as one that came twice.
      const lost = last.reduce((sum, n, sender) => sum + Math.max(0, sent[sender]! - n), missing.size);
      const invented = last.reduce((sum, n, sender) => sum + Math.max(0, n - sent[sender]!), 0);
      return { lost, duplicates: duplicates + invented, disordered };
    },
  };
}

export const noFaults: Faults = { lost: 0, duplicates: 0, disordered: 0 };

export const addFaults = (a: Faults, b: Faults): Faults => ({
  lost: a.lost + b.lost,
  duplicates: a.duplicates + b.duplicates,
  disordered: a.disordered + b.disordered,
});
