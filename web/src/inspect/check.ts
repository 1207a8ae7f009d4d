/**
 * The proof of a room's log as one connection received it: a place in the log, and what is wrong about the way to it.
 * `seq` numbers messages and is never skipped for good, so a hole in it is a lost message. `change_seq` rises by one from change to change;
 * a number that is skipped belongs to a change that a later one to the same message has replaced.
 */

export interface Numbered {
  readonly seq: number;
  readonly change_seq: number;
}

/** The head of a room in the answer to `room.join`. */
export interface Head {
  readonly last_seq: number;
  readonly last_change_seq: number;
}

export type How = 'live' | 'replayed';

export interface Check {
  /** The place: the newest message and the last change received. */
  readonly seq: number;
  readonly change: number;
  readonly live: number;
  readonly replayed: number;
  /** Changes received twice. */
  readonly repeated: number;
  /** Change numbers skipped. */
  readonly replaced: number;
  /** Messages (by `seq`) that were passed over and have not come yet. */
  readonly missing: readonly number[];
  /** Changes at the end of the log that the head has and the replay had not. */
  readonly short: number;
}

/** Where a first snapshot leaves a connection. */
export const checkFrom = ({ last_seq, last_change_seq }: Head): Check => ({
  seq: last_seq,
  change: last_change_seq,
  live: 0,
  replayed: 0,
  repeated: 0,
  replaced: 0,
  missing: [],
  short: 0,
});

function passedOver(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from - 1) }, (_, i) => from + 1 + i);
}

/** One change more. */
export function receive(check: Check, { seq, change_seq }: Numbered, how: How): Check {
  if (change_seq <= check.change) return { ...check, repeated: check.repeated + 1 };
  return {
    ...check,
    [how]: check[how] + 1,
    seq: Math.max(check.seq, seq),
    change: change_seq,
    replaced: check.replaced + change_seq - check.change - 1,
    missing: [...check.missing.filter((hole) => hole !== seq), ...passedOver(check.seq, seq)],
  };
}

/** A replay is over: it must have reached the head that its answer named. */
export function reach(check: Check, { last_seq, last_change_seq }: Head): Check {
  return {
    ...check,
    missing: [...check.missing, ...passedOver(check.seq, last_seq + 1)],
    short: check.short + Math.max(0, last_change_seq - check.change),
    seq: Math.max(check.seq, last_seq),
    change: Math.max(check.change, last_change_seq),
  };
}

export const isWhole = ({ missing, repeated, short }: Check): boolean =>
  missing.length === 0 && repeated === 0 && short === 0;
