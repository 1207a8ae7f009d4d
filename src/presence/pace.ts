/** Keeps those who flap from keeping Redis busy: a few calls at once, then one a second, and of the rest the last. */

/** Milliseconds a call, and how far ahead of that a key may run. */
const EVERY_MS = 1_000;
const AHEAD_MS = 5_000;

interface Turn {
  /** When the calls so far would be over at one in `EVERY_MS`, monotonic. */
  busyUntil: number;
  waiting: (() => Promise<void>) | undefined;
  timer: NodeJS.Timeout | undefined;
}

/** `onFailure` hears of calls that failed when nobody waited for them any more. */
export function createPace(onFailure: (error: unknown) => void) {
  const turns = new Map<string, Turn>();

  const call = (turn: Turn, task: () => Promise<void>, now: number) => {
    turn.busyUntil = Math.max(turn.busyUntil, now) + EVERY_MS;
    return task();
  };

  return {
    /**
     * Makes the call now and passes on its result; or, for a key that calls too often, resolves at once and makes the
     * last of such calls when the key's turn comes.
     */
    async run(key: string, task: () => Promise<void>): Promise<void> {
      const now = performance.now();
      const turn = turns.get(key) ?? { busyUntil: 0, waiting: undefined, timer: undefined };
      turns.set(key, turn);
      const waitMs = turn.busyUntil - AHEAD_MS - now;
      if (waitMs <= 0 && !turn.waiting) return call(turn, task, now);
      turn.waiting = task;
      turn.timer ??= setTimeout(() => {
        const last = turn.waiting!;
        turn.waiting = turn.timer = undefined;
        call(turn, last, performance.now()).catch(onFailure);
      }, waitMs);
    },

    /** Forgets a key, and what it still waits for. */
    forget(key: string): void {
      clearTimeout(turns.get(key)?.timer);
      turns.delete(key);
    },
  };
}
