/** The city as a whole: its rooms with their live numbers, and the feed. */
import { api } from '../api.ts';
import { asCityError, type CityError } from '../errors.ts';
import { currentSession } from '../session.ts';
import { createStore } from '../store.ts';
import type { FeedEvent, FeedScope, Home, Room } from '../types.ts';
import { learnNames } from './names.ts';
import { seeCount } from './presence.ts';

const ROOMS_PAGE = 100;
const FEED_PAGE = 20;
const FEED_KEPT = 300;

interface City {
  readonly rooms: readonly Room[] | null;
  readonly roomsError: CityError | null;
  readonly totals: Home['totals'] | null;
  readonly feed: readonly FeedEvent[] | null;
  readonly feedError: CityError | null;
  readonly feedMore: boolean;
  readonly feedLoading: boolean;
  readonly scope: FeedScope;
}

const EMPTY: City = {
  rooms: null,
  roomsError: null,
  totals: null,
  feed: null,
  feedError: null,
  feedMore: false,
  feedLoading: false,
  scope: 'city',
};

export const cityStore = createStore<City>(EMPTY);
const set = (part: Partial<City>) => cityStore.set((state) => ({ ...state, ...part }));

let roomPages = 1;

export function resetCity(): void {
  roomPages = 1;
  cityStore.set(() => EMPTY);
}

export async function refreshRooms(): Promise<void> {
  try {
    const pages = await Promise.all(
      Array.from({ length: roomPages }, (_, page) => api.rooms(ROOMS_PAGE, page * ROOMS_PAGE)),
    );
    const byId = new Map(pages.flat().map((room) => [room.id, room]));
    set({ rooms: [...byId.values()], roomsError: null });
  } catch (error) {
    set({ roomsError: asCityError(error) });
  }
}

export async function showMoreRooms(): Promise<void> {
  roomPages += 1;
  await refreshRooms();
}

export function patchRoom(id: string, part: Partial<Room>): void {
  cityStore.set((state) => ({
    ...state,
    rooms: state.rooms?.map((room) => (room.id === id ? { ...room, ...part } : room)) ?? null,
  }));
}

const newestFirst = (a: FeedEvent, b: FeedEvent) =>
  b.created_at.localeCompare(a.created_at) || b.id.localeCompare(a.id);

const learnFeedNames = (events: readonly FeedEvent[]) =>
  learnNames(events.map((event) => [event.agent_id ?? event.user_id, event.payload['username']] as const));

/** Puts a fresh newest page over what is loaded; older pages stay when they still connect to it. */
function overlay(page: readonly FeedEvent[], loaded: readonly FeedEvent[] | null): Partial<City> {
  const last = page.at(-1);
  const meets = last !== undefined && loaded?.some((event) => event.id === last.id);
  if (!loaded || !last || !meets) return { feed: page, feedMore: page.length >= FEED_PAGE };
  return { feed: [...page, ...loaded.filter((event) => newestFirst(event, last) > 0)] };
}

export async function refreshFeed(): Promise<void> {
  const { scope } = cityStore.get();
  try {
    const page = await api.feed({ limit: FEED_PAGE, scope });
    if (cityStore.get().scope !== scope) return;
    learnFeedNames(page);
    set({ ...overlay(page, cityStore.get().feed), feedError: null });
  } catch (error) {
    set({ feedError: asCityError(error) });
  }
}

async function refreshTotals(): Promise<void> {
  try {
    const home = await api.home();
    set({ totals: home.totals });
    seeCount(home.totals);
  } catch {
    // The rooms and the feed say what is wrong; the totals are an ornament.
  }
}

/** Loads, or after a reconnection reloads, all of City Home. */
export async function refreshCity(): Promise<void> {
  await Promise.all([refreshRooms(), refreshFeed(), refreshTotals()]);
}

/** Learns the names of citizens who have not spoken yet. */
export async function learnMembers(ref: string): Promise<void> {
  const page = await api.members(ref).catch(() => null);
  if (page) learnNames(page.members.map(({ user_id, username }) => [user_id, username] as const));
}

export function setScope(scope: FeedScope): void {
  if (cityStore.get().scope === scope) return;
  set({ scope, feed: null, feedError: null, feedMore: false });
  void refreshFeed();
}

export async function showEarlierFeed(): Promise<void> {
  const { feed, scope, feedLoading } = cityStore.get();
  const oldest = feed?.at(-1);
  if (!oldest || feedLoading) return;
  set({ feedLoading: true });
  try {
    const page = await api.feed({ limit: FEED_PAGE, before: oldest.id, scope });
    if (cityStore.get().scope !== scope) return;
    learnFeedNames(page);
    const now = cityStore.get().feed ?? [];
    const known = new Set(now.map((event) => event.id));
    set({
      feed: [...now, ...page.filter((event) => !known.has(event.id))],
      feedMore: page.length >= FEED_PAGE,
      feedError: null,
    });
  } catch (error) {
    set({ feedError: asCityError(error) });
  } finally {
    set({ feedLoading: false });
  }
}

const isMessage = (event: FeedEvent) => event.kind === 'room_message' || event.kind === 'agent_reply';

/** Takes in live feed events: the feed itself, and the unread marks of rooms that are not open. */
export function onFeedEvents(events: readonly FeedEvent[], openRoomId: string | null): void {
  learnFeedNames(events);
  const me = currentSession()?.userId;
  const { rooms, feed, scope, totals } = cityStore.get();
  const joined = new Set(rooms?.filter((room) => room.joined).map((room) => room.id));
  const known = new Set(feed?.map((event) => event.id));
  const fresh = events.filter((event) => !known.has(event.id));
  const shown =
    scope === 'city' ? fresh : fresh.filter((event) => event.room_id !== null && joined.has(event.room_id));
  const messages = fresh.filter(isMessage);
  set({
    feed: feed && shown.length ? [...shown, ...feed].sort(newestFirst).slice(0, FEED_KEPT) : feed,
    totals: totals && messages.length ? { ...totals, messages: totals.messages + messages.length } : totals,
    rooms:
      rooms?.map((room) => {
        const here = messages.filter((event) => event.room_id === room.id);
        const last = here.at(-1);
        if (!last) return room;
        const mine = here.some((event) => event.user_id === me);
        const unread = room.id === openRoomId ? room.unread : mine ? 0 : room.unread + here.length;
        return { ...room, unread, last_event: last.created_at, last_seq: room.last_seq + here.length };
      }) ?? null,
  });
  if (events.some((event) => event.kind === 'room_created')) {
    void refreshRooms();
    void refreshTotals();
  }
}

export function onFeedRemoved(ids: readonly string[]): void {
  const gone = new Set(ids);
  const { feed } = cityStore.get();
  if (feed?.some((event) => gone.has(event.id))) set({ feed: feed.filter((event) => !gone.has(event.id)) });
}
