/** The feed of one scope: the newest page, what happens from then on, and earlier pages as they are asked for. */
import type { FeedEvent, FeedScope } from '../contract/feed.ts';
import type { Connection } from './connection.ts';
import { asCityError } from './errors.ts';
import type { FeedSource } from './feed-source.ts';
import type { Names } from './names.ts';
import type { Rest } from './rest.ts';
import { createValue, whileWatched } from './store.ts';
import type { Feed, FeedState } from './types.ts';

const PAGE = 20;
/** Events kept; live ones push the oldest out. */
const KEPT = 500;
/** The least time between two readings of a page that live events of another scope call for. */
const REREAD_MS = 2_000;

interface FeedDeps {
  connection: Connection;
  source: FeedSource;
  rest: Rest;
  names: Names;
  /** Whether the caller is a member of a room; undefined when that is not known here. */
  isMember: (roomId: string) => boolean | undefined;
}

const newestFirst = (a: FeedEvent, b: FeedEvent) =>
  a.created_at === b.created_at ? (a.id < b.id ? 1 : -1) : a.created_at < b.created_at ? 1 : -1;

/** Both lists as one, newest first, each event once. */
const join = (a: readonly FeedEvent[], b: readonly FeedEvent[]): FeedEvent[] =>
  [...new Map([...b, ...a].map((event) => [event.id, event])).values()].sort(newestFirst);

export function createFeed(
  scope: FeedScope,
  { connection, source, rest, names, isMember }: FeedDeps,
): { feed: Feed; close(): void } {
  const state = createValue<FeedState>({ events: null, hasOlder: false, loadingOlder: false, error: null });
  /** Removed while a page was on its way, which may still have them; and live events that came meanwhile. */
  let removed = new Set<string>();
  let arrived: FeedEvent[] = [];
  let reading = 0;
  let reread: ReturnType<typeof setTimeout> | undefined;

  /** A page; what changed while it was read is left to `take`. */
  async function read(before?: string): Promise<readonly FeedEvent[]> {
    if (reading === 0) {
      removed = new Set();
      arrived = [];
    }
    reading += 1;
    try {
      const page = await rest.listFeed({ limit: PAGE, scope, ...(before === undefined ? {} : { before }) });
      names.fromEvents(page);
      return page;
    } finally {
      reading -= 1;
    }
  }
  const take = (page: readonly FeedEvent[]) => page.filter(({ id }) => !removed.has(id));

  async function refresh(): Promise<void> {
    try {
      const page = await read();
      const { events, hasOlder } = state.getSnapshot();
      const oldest = page.at(-1);
      // What was loaded before stays when it still connects with the newest page.
      const connects = oldest !== undefined && events?.some(({ id }) => id === oldest.id);
      const older = connects ? events!.filter((event) => newestFirst(event, oldest) > 0) : [];
      state.patch({
        events: join(take(page), [...older, ...take(arrived)]),
        hasOlder: connects ? hasOlder : page.length >= PAGE,
        error: null,
      });
    } catch (error) {
      state.patch({ error: asCityError(error) });
    }
  }

  async function loadOlder(): Promise<void> {
    const { events, loadingOlder, hasOlder } = state.getSnapshot();
    const oldest = events?.at(-1);
    if (!oldest || loadingOlder || !hasOlder) return;
    state.patch({ loadingOlder: true });
    try {
      const page = await read(oldest.id);
      const now = state.getSnapshot().events ?? [];
      // Anew meanwhile: the page does not belong below what is there.
      if (now.at(-1)?.id === oldest.id) {
        state.patch({ events: join(now, take(page)), hasOlder: page.length >= PAGE, error: null });
      }
    } catch (error) {
      state.patch({ error: asCityError(error) });
    } finally {
      state.patch({ loadingOlder: false });
    }
  }

  /** The events that belong to this scope: with both scopes live the server sends those of the city. */
  function mine(events: readonly FeedEvent[]): readonly FeedEvent[] {
    if (scope === 'city' || !source.isHeld('city')) return events;
    const inRooms = events.filter((event) => event.room_id !== null);
    if (inRooms.some((event) => isMember(event.room_id!) === undefined)) {
      reread ??= setTimeout(() => {
        reread = undefined;
        void refresh();
      }, REREAD_MS);
    }
    return inRooms.filter((event) => isMember(event.room_id!));
  }

  function start(): () => void {
    const letGo = source.hold(scope, () => void refresh());
    if (!connection.isLive()) void refresh();
    const offs = [
      connection.on('feed.events', ({ events }) => {
        names.fromEvents(events);
        const fresh = mine(events);
        if (reading > 0) arrived.push(...fresh);
        const now = state.getSnapshot();
        if (fresh.length === 0 || !now.events) return;
        const all = join(now.events, fresh);
        state.patch({ events: all.slice(0, KEPT), hasOlder: now.hasOlder || all.length > KEPT });
      }),
      connection.on('feed.removed', ({ ids }) => {
        for (const id of ids) removed.add(id);
        const { events } = state.getSnapshot();
        if (events?.some(({ id }) => ids.includes(id))) {
          state.patch({ events: events.filter(({ id }) => !ids.includes(id)) });
        }
      }),
    ];
    return () => {
      clearTimeout(reread);
      reread = undefined;
      for (const off of [...offs, letGo]) off();
    };
  }

  const { end, ...store } = whileWatched(state, start);
  return { feed: { ...store, scope, refresh, loadOlder }, close: end };
}
