/** The rooms that this client has open: one subscription for each, however many handles there are. */
import type { Room } from '../contract/rooms.ts';
import type { FeedSource } from './feed-source.ts';
import { createRoom } from './room.ts';
import type { RoomCore, RoomDeps } from './room.ts';
import { createRoomList } from './room-list.ts';
import { roomIdOf } from './room-state.ts';
import type { RoomHandle, Rooms } from './types.ts';

interface Entry {
  readonly core: RoomCore;
  handles: number;
  /** Whether the subscription is wanted, which outlasts the last handle by a moment. */
  isOpen: boolean;
}

type RoomsDeps = Omit<RoomDeps, 'onRoom' | 'onIdle'> & { source: FeedSource };

export function createRooms({ source, ...deps }: RoomsDeps) {
  const { connection, rest, me } = deps;
  const entries = new Map<string, Entry>();
  const list = createRoomList({
    connection,
    source,
    rest,
    me,
    isOpen: (id) => entries.get(id)?.core.state.getSnapshot().status === 'live',
    onRead,
  });

  function onRead(read: readonly Room[]): void {
    for (const room of read) entries.get(room.id)?.core.describe(room);
  }

  /** Forgets a room that nobody has open and for which nothing is on its way. */
  function sweep(id: string): void {
    const entry = entries.get(id);
    if (!entry || entry.isOpen || !entry.core.outbox.isEmpty()) return;
    entries.delete(id);
    entry.core.close();
  }

  function entryOf(id: string): Entry {
    const known = entries.get(id);
    if (known) return known;
    const core = createRoom(id, {
      ...deps,
      onRoom: list.patch,
      onIdle: () => sweep(id),
    });
    const entry = { core, handles: 0, isOpen: false };
    entries.set(id, entry);
    return entry;
  }

  function release(id: string): void {
    const entry = entries.get(id);
    if (!entry || entry.handles > 0 || !entry.isOpen) return;
    entry.isOpen = false;
    entry.core.leave();
    sweep(id);
  }

  function peek(ref: string): Omit<RoomHandle, 'leave'> {
    const id = roomIdOf(ref);
    const core = () => entryOf(id).core;
    return {
      room_id: id,
      getSnapshot: () => core().state.getSnapshot(),
      subscribe: (listener) => core().state.subscribe(listener),
      send(body) {
        core().typing.stop();
        return core().outbox.send(body);
      },
      retry: (clientId) => core().outbox.retry(clientId),
      discard: (clientId) => core().outbox.discard(clientId),
      async edit(message_id, body) {
        const { message } = await connection.ask('room.message.edit', { room_id: id, message_id, body });
        core().show(message);
        return message;
      },
      async delete(message_id) {
        const { message } = await connection.ask('room.message.delete', { room_id: id, message_id });
        core().show(message);
        return message;
      },
      setTyping: (typing) => core().typing.set(typing),
      read: (seq = Infinity) => core().readMark.set(Math.min(seq, core().lastSeq())),
      loadOlder: () => core().list.loadOlder(),
      follow: (atEnd) => core().list.follow(atEnd),
    };
  }

  function join(ref: string): RoomHandle {
    const room = peek(ref);
    const entry = entryOf(room.room_id);
    entry.handles += 1;
    entry.isOpen = true;
    entry.core.open();
    let left = false;
    return {
      ...room,
      leave() {
        if (left) return;
        left = true;
        entry.handles -= 1;
        // React's strict mode and a change of pages leave and come back in one go.
        setTimeout(() => release(room.room_id));
      },
    };
  }

  const { getSnapshot, subscribe } = list.store;
  const { refresh, loadMore } = list;
  const rooms: Rooms = { getSnapshot, subscribe, refresh, loadMore, join, peek };
  const offs = [
    connection.on('room.closed', ({ room_id, reason }) => {
      if (reason === 'deleted') list.drop(room_id);
    }),
  ];
  return {
    rooms,
    isMember: list.isMember,
    close(): void {
      for (const off of offs) off();
      list.store.end();
      for (const { core } of entries.values()) core.close();
      entries.clear();
    },
  };
}
