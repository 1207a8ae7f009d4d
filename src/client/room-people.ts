/** Who has a room open and who types in it, from the snapshot and the notices of the room. */
import type { Connection } from './connection.ts';
import type { Names } from './names.ts';
import type { Rest } from './rest.ts';
import type { Value } from './store.ts';
import type { Me, RoomState, Store } from './types.ts';

const MEMBERS_PAGE = 200;

interface PeopleDeps {
  roomId: string;
  connection: Connection;
  rest: Rest;
  names: Names;
  me: Store<Me | null>;
  state: Value<RoomState>;
  onRoom: (id: string, part: { members_online: number }) => void;
}

export function createRoomPeople({ roomId, connection, rest, names, me, state, onRoom }: PeopleDeps) {
  /** Who came (true) and went since the list was last asked for. */
  let moved = new Map<string, boolean>();
  let asked = 0;

  const count = (members_online: number) => {
    state.patch({ membersOnline: members_online });
    onRoom(roomId, { members_online });
  };

  const arranged = (ids: readonly string[]): readonly string[] => {
    const here = new Set(ids);
    for (const [id, isHere] of moved) {
      here.delete(id);
      if (isHere) here.add(id);
    }
    return [...here];
  };

  function onMove(
    notice: { room_id: string; user_id: string; username: string; members_online: number },
    isHere: boolean,
  ) {
    if (notice.room_id !== roomId) return;
    const { user_id, username, members_online } = notice;
    names.learn([[user_id, username]]);
    moved.delete(user_id);
    moved.set(user_id, isHere);
    if (!isHere) quiet([user_id]);
    state.patch({ online: arranged(state.getSnapshot().online) });
    count(members_online);
  }

  /** These do not type any more. */
  function quiet(ids: readonly (string | null)[]): void {
    const { typing } = state.getSnapshot();
    if (typing.some((id) => ids.includes(id)))
      state.patch({ typing: typing.filter((id) => !ids.includes(id)) });
  }

  const offs = [
    connection.on('room.join', (notice) => onMove(notice, true)),
    connection.on('room.leave', (notice) => onMove(notice, false)),
    connection.on('room.presence', ({ room_id, members_online }) => {
      if (room_id === roomId) count(members_online);
    }),
    connection.on('room.typing', ({ room_id, user_ids }) => {
      if (room_id !== roomId) return;
      const mine = me.getSnapshot()?.user_id;
      state.patch({ typing: user_ids.filter((id) => id !== mine) });
    }),
  ];

  async function load(): Promise<void> {
    const mine = ++asked;
    moved = new Map();
    const [detail, members] = await Promise.allSettled([
      rest.getRoom({ room_id: roomId }),
      rest.listMembers({ room_id: roomId, limit: MEMBERS_PAGE }),
    ]);
    if (members.status === 'fulfilled') names.fromUsers(members.value.members);
    if (detail.status === 'fulfilled' && mine === asked) {
      state.patch({ online: arranged(detail.value.online_members) });
    }
  }

  return {
    quiet,
    /** We are in: takes the count, asks who they are. Without an answer the notices still tell the changes. */
    arrive(membersOnline: number): void {
      count(membersOnline);
      void load();
    },
    close(): void {
      asked += 1;
      for (const off of offs) off();
    },
  };
}
