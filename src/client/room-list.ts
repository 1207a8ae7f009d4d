/** The rooms of the city with their numbers: counted on from the feed and from open rooms, read again now and then. */
import type { FeedEvent } from '../contract/feed.ts';
import type { Room } from '../contract/rooms.ts';
import type { Connection } from './connection.ts';
import { asCityError } from './errors.ts';
import type { FeedSource } from './feed-source.ts';
import { isHidden, onVisibility } from './page.ts';
import type { Rest } from './rest.ts';
import { createValue, whileWatched } from './store.ts';
import type { Me, RoomListState, Store } from './types.ts';

const PAGE = 100;
/** Who is where is not told of rooms that are not open. */
const REREAD_MS = 15_000;

interface RoomListDeps {
  connection: Connection;
  source: FeedSource;
  rest: Rest;
  me: Store<Me | null>;
  /** Whether this client follows the room itself. */
  isOpen: (roomId: string) => boolean;
  /** Hears how the rooms are by their own account. */
  onRead: (rooms: readonly Room[]) => void;
}

export function createRoomList({ connection, source, rest, me, isOpen, onRead }: RoomListDeps) {
  const state = createValue<RoomListState>({ rooms: null, hasMore: false, loading: false, error: null });
  let pages = 1;
  let reading: Promise<void> | null = null;

  async function read(): Promise<void> {
    state.patch({ loading: true });
    try {
      const answers = await Promise.all(
        Array.from({ length: pages }, (_, page) => rest.listRooms({ limit: PAGE, offset: page * PAGE })),
      );
      const byId = new Map(answers.flat().map((room) => [room.id, room]));
      const known = new Map(state.getSnapshot().rooms?.map((room) => [room.id, room]));
      const rooms = [...byId.values()].map((room) => {
        const live = isOpen(room.id) ? known.get(room.id) : undefined;
        return live ? { ...room, unread: live.unread, members_online: live.members_online } : room;
      });
      state.patch({ rooms, hasMore: answers.at(-1)!.length === PAGE, error: null });
      onRead(rooms);
    } catch (error) {
      state.patch({ error: asCityError(error) });
    } finally {
      state.patch({ loading: false });
    }
  }
  const refresh = (): Promise<void> => (reading ??= read().finally(() => (reading = null)));

  function patch(id: string, part: Partial<Room>): void {
    const { rooms } = state.getSnapshot();
    const room = rooms?.find((one) => one.id === id);
    const names = Object.keys(part) as (keyof Room)[];
    if (!room || names.every((name) => room[name] === part[name])) return;
    state.patch({ rooms: rooms!.map((one) => (one === room ? { ...room, ...part } : one)) });
  }

  /** Counts messages of rooms that are not open; those that a reading has counted already are not newer than it. */
  function onEvents(events: readonly FeedEvent[]): void {
    const mine = me.getSnapshot()?.user_id;
    for (const { kind, room_id, user_id, created_at } of events) {
      if (room_id === null || (kind !== 'room_message' && kind !== 'agent_reply')) continue;
      const room = state.getSnapshot().rooms?.find(({ id }) => id === room_id);
      if (!room || isOpen(room_id) || (room.last_event !== null && created_at <= room.last_event)) continue;
      patch(room_id, {
        unread: user_id === mine ? 0 : room.unread + 1,
        last_seq: room.last_seq + 1,
        last_event: created_at,
      });
    }
    if (events.some(({ kind }) => kind === 'room_created')) void refresh();
  }

  function start(): () => void {
    const reread = () => {
      if (connection.isLive() && !isHidden()) void refresh();
    };
    const timer = setInterval(reread, REREAD_MS);
    const offs = [
      source.hold('city', () => void refresh()),
      connection.on('feed.events', ({ events }) => onEvents(events)),
      onVisibility(reread),
    ];
    if (!connection.isLive()) void refresh();
    return () => {
      clearInterval(timer);
      for (const off of offs) off();
    };
  }

  return {
    store: whileWatched(state, start),
    refresh,
    async loadMore(): Promise<void> {
      pages += 1;
      await reading;
      await refresh();
    },
    patch,
    /** Takes a room out that is gone. */
    drop(id: string): void {
      const { rooms } = state.getSnapshot();
      if (rooms?.some((room) => room.id === id)) {
        state.patch({ rooms: rooms.filter((room) => room.id !== id) });
      }
    },
    isMember: (id: string): boolean | undefined =>
      state.getSnapshot().rooms?.find((room) => room.id === id)?.joined,
  };
}
