/** A minimal observable store, and the hook that reads a part of one. */
import { useSyncExternalStore } from 'react';
import type { Store } from '../../src/client/index.ts';

export interface OwnStore<T> extends Store<T> {
  set(change: (state: T) => T): void;
}

export function createStore<T>(initial: T): OwnStore<T> {
  let state = initial;
  const listeners = new Set<() => void>();
  return {
    getSnapshot: () => state,
    set(change) {
      const next = change(state);
      if (Object.is(next, state)) return;
      state = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** Reads a part of a store; `select` must return the same reference while nothing it reads has changed. */
export function useStore<T, S>(store: Store<T>, select: (state: T) => S): S {
  return useSyncExternalStore(store.subscribe, () => select(store.getSnapshot()));
}
