/** The live feed of a connection: each scope subscribed to once, for as long as somebody wants it. */
import type { FeedScope } from '../contract/feed.ts';
import type { Connection } from './connection.ts';
import { asCityError } from './errors.ts';

const PAUSE_MS = 2_000;

export type FeedSource = ReturnType<typeof createFeedSource>;

export function createFeedSource(connection: Connection) {
  /** What is to be called when a scope has become live, again after every reconnection. */
  const holders: Record<FeedScope, Set<() => void>> = { city: new Set(), mine: new Set() };
  const live = new Set<FeedScope>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  function unsubscribe(scope: FeedScope): void {
    if (connection.isLive()) connection.ask('feed.unsubscribe', { scope }).catch(() => {});
  }
  async function subscribe(scope: FeedScope): Promise<void> {
    try {
      await connection.ask('feed.subscribe', { scope });
      if (holders[scope].size === 0) return unsubscribe(scope);
      live.add(scope);
      for (const ready of [...holders[scope]]) ready();
    } catch (cause) {
      const { retryable, retryAfterMs } = asCityError(cause);
      if (!retryable || !connection.isLive()) return; // the next connection subscribes
      clearTimeout(timer);
      timer = setTimeout(subscribeAll, retryAfterMs ?? PAUSE_MS);
    }
  }
  function subscribeAll(): void {
    for (const scope of ['city', 'mine'] as const) {
      if (holders[scope].size > 0 && !live.has(scope) && connection.isLive()) void subscribe(scope);
    }
  }
  const offs = [
    connection.onConnect('/rooms', subscribeAll),
    connection.onDisconnect('/rooms', () => live.clear()),
  ];

  return {
    isHeld: (scope: FeedScope) => holders[scope].size > 0,
    /** Keeps a scope live; `ready` says that from now on nothing is missed. The answer lets go of it. */
    hold(scope: FeedScope, ready: () => void): () => void {
      const own = () => ready();
      holders[scope].add(own);
      if (live.has(scope)) own();
      else if (holders[scope].size === 1 && connection.isLive()) void subscribe(scope);
      return () => {
        holders[scope].delete(own);
        if (holders[scope].size === 0 && live.delete(scope)) unsubscribe(scope);
      };
    },
    close(): void {
      clearTimeout(timer);
      for (const off of offs) off();
    },
  };
}
