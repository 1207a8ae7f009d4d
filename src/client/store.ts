/** A minimal observable value: immutable snapshots, and listeners that hear of bursts at most once in a while. */
import type { Store } from './types.ts';

export interface Value<T> extends Store<T> {
  set(change: (state: T) => T): void;
  /** `set` for a part of an object; nothing happens when all of it is there already. */
  patch(part: Partial<T>): void;
}

/** Milliseconds between two calls of the listeners; the first change after a rest is told at once. */
const PACE_MS = 16;

export function createValue<T>(initial: T): Value<T> {
  let state = initial;
  let toldAt = 0;
  let timer: ReturnType<typeof setTimeout> | null = null;
  const listeners = new Set<() => void>();

  const tell = () => {
    timer = null;
    toldAt = Date.now();
    for (const listener of [...listeners]) {
      try {
        listener();
      } catch (error) {
        // Its own accident, and not that of whoever changed the state.
        setTimeout(() => {
          throw error;
        });
      }
    }
  };
  const changed = () => {
    if (timer !== null || listeners.size === 0) return;
    const wait = toldAt + PACE_MS - Date.now();
    if (wait <= 0 || wait > PACE_MS) tell();
    else timer = setTimeout(tell, wait);
  };
  const set = (change: (state: T) => T) => {
    const next = change(state);
    if (Object.is(next, state)) return;
    state = next;
    changed();
  };
  return {
    getSnapshot: () => state,
    set,
    patch(part) {
      set((now) => {
        const names = Object.keys(part) as (keyof T)[];
        return names.every((name) => Object.is(now[name], part[name])) ? now : { ...now, ...part };
      });
    },
    subscribe(listener) {
      // A listener of its own for each call, so that one function may be given twice.
      const own = () => listener();
      listeners.add(own);
      return () => void listeners.delete(own);
    },
  };
}

/** A store that runs `start` for as long as it has subscribers; the answer is run a moment after the last one left. */
export function whileWatched<T>(store: Store<T>, start: () => () => void): Store<T> & { end(): void } {
  let watchers = 0;
  let stop: (() => void) | null = null;
  const end = () => {
    stop?.();
    stop = null;
  };
  return {
    end,
    getSnapshot: store.getSnapshot,
    subscribe(listener) {
      const off = store.subscribe(listener);
      let on = true;
      watchers += 1;
      stop ??= start();
      return () => {
        if (!on) return;
        on = false;
        off();
        watchers -= 1;
        // React's strict mode and a change of pages leave and come back in one go.
        setTimeout(() => {
          if (watchers === 0) end();
        });
      };
    },
  };
}
