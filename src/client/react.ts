/** React hooks over the typed client: `<CityProvider client={city}>`, then `useRoom('general')` and its like. */
import { createContext, createElement, useContext, useMemo, useSyncExternalStore } from 'react';
import type { ReactElement, ReactNode } from 'react';
import type {
  CityClient,
  ConnectionState,
  Feed,
  FeedScope,
  FeedState,
  Me,
  Presence,
  PresenceState,
  RoomHandle,
  RoomListState,
  Rooms,
  RoomState,
  SecondMe,
  SecondMeState,
  Store,
} from './types.ts';

const Context = createContext<CityClient | null>(null);

/** Gives a client to the hooks below it; who made the client closes it. */
export function CityProvider(props: { client: CityClient; children?: ReactNode }): ReactElement {
  return createElement(Context.Provider, { value: props.client }, props.children);
}

/** The client. @throws Error outside of a CityProvider */
export function useCity(): CityClient {
  const city = useContext(Context);
  if (!city) throw new Error('useCity needs a <CityProvider> above it');
  return city;
}

/** The snapshot of any store of the client. */
export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.getSnapshot, store.getSnapshot);
}

/** The state for a banner. */
export const useConnection = (): ConnectionState => useStore(useCity().connection);

/** Whom the token names; null until there is one. */
export const useMe = (): Me | null => useStore(useCity().me);

/** The display name of a user or agent, also as it becomes known later. */
export function useName(id: string): string {
  const city = useCity();
  useStore(city.names);
  return city.nameOf(id);
}

/** Finds display names for lists of people; a new function whenever a name has become known. */
export function useNames(): (id: string) => string {
  const city = useCity();
  const known = useStore(city.names);
  return useMemo(() => (id) => known[id] ?? city.nameOf(id), [city, known]);
}

/** What a handle can do, beside what it shows. */
type Actions<Handle> = Omit<Handle, keyof Store<unknown>>;

function useWithActions<Handle extends Store<State>, State extends object>(
  handle: Handle,
): State & Actions<Handle> {
  const state = useStore<State>(handle);
  return useMemo(() => {
    const { getSnapshot: _, subscribe: __, ...actions } = handle;
    return { ...actions, ...state };
  }, [handle, state]);
}

/** The room list and `refresh`, `loadMore`, `join`, `peek`. */
export const useRooms = (): RoomListState & Actions<Rooms> =>
  useWithActions<Rooms, RoomListState>(useCity().rooms);

/** Presence and `watch`, `active`. */
export const usePresence = (): PresenceState & Actions<Presence> =>
  useWithActions<Presence, PresenceState>(useCity().presence);

/** The feed of a scope and `loadOlder`, `refresh`; live while a component uses it. */
export const useFeed = (scope: FeedScope = 'city'): FeedState & Actions<Feed> =>
  useWithActions<Feed, FeedState>(useCity().feed(scope));

/** The conversation with one's Second Me and `ask`, `cancel`, `clear`, `retry`, `discard`. */
export const useSecondMe = (): SecondMeState & Actions<SecondMe> =>
  useWithActions<SecondMe, SecondMeState>(useCity().secondMe);

/** A room by its id or slug and `send`, `edit`, `loadOlder`…; open for as long as a component uses it. */
export function useRoom(ref: string): RoomState & Omit<RoomHandle, keyof Store<unknown> | 'leave'> {
  const city = useCity();
  const room = useMemo(() => {
    const { subscribe, ...peeked } = city.rooms.peek(ref);
    return {
      ...peeked,
      subscribe(listener: () => void) {
        const handle = city.rooms.join(ref);
        const off = subscribe(listener);
        return () => {
          off();
          handle.leave();
        };
      },
    };
  }, [city, ref]);
  return useWithActions<typeof room, RoomState>(room);
}
