/** What a room is told about the people in it: who came, who went, who is away; in big rooms only how many. */
import type { UserPresence } from '../contract/presence.ts';
import { roomChannel } from '../platform/io.ts';
import type { RoomsNamespace, RoomsSocket } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import type { Occupancy } from '../presence/occupancy.ts';
import type { Users } from '../users/users.service.ts';

/** Above this many users online a room hears counts only. */
const BIG_ROOM = 200;
const COUNT_EVERY_MS = 3_000;

interface NoticeDeps {
  namespace: RoomsNamespace;
  occupancy: Occupancy;
  users: Users;
  log: Logger;
}

export type RoomNotices = ReturnType<typeof createRoomNotices>;

/** Notices are news, not truth: they go through the adapter's ordinary broadcast and may be lost. */
export function createRoomNotices({ namespace, occupancy, users, log }: NoticeDeps) {
  const told = new Map<string, number>();
  let endCounting: (() => Promise<void>) | undefined;

  const left = async (roomId: string, userId: string, members_online: number) => {
    if (members_online > BIG_ROOM) return;
    const username = (await users.namesOf([userId])).get(userId)!;
    const notice = { room_id: roomId, user_id: userId, username, members_online };
    namespace.to(roomChannel(roomId)).emit('room.leave', notice);
  };

  /** Every node tells its own subscribers, so that each hears a big room's count at most once in 3 s. */
  const tellCounts = async () => {
    const rooms = [...namespace.adapter.rooms.keys()].filter((channel) => channel.startsWith('room:'));
    const counts = await occupancy.counts(rooms.map((channel) => channel.slice('room:'.length)));
    for (const [room_id, members_online] of counts) {
      if (members_online <= BIG_ROOM) {
        told.delete(room_id);
      } else if (told.get(room_id) !== members_online) {
        told.set(room_id, members_online);
        namespace.local.to(roomChannel(room_id)).emit('room.presence', { room_id, members_online });
      }
    }
  };

  return {
    /** A user's first connection opened the room. */
    async joined(
      socket: RoomsSocket,
      roomId: string,
      username: string,
      members_online: number,
    ): Promise<void> {
      if (members_online > BIG_ROOM) return;
      const notice = { room_id: roomId, user_id: socket.data.caller.id, username, members_online };
      socket.to(roomChannel(roomId)).emit('room.join', notice);
    },

    /** A user's last connection closed the room. */
    left,

    /** A user who has these rooms open changed status. */
    async presence({ user_id, status }: UserPresence, roomIds: string[]): Promise<void> {
      for (const [room_id, members_online] of await occupancy.counts(roomIds)) {
        if (members_online > BIG_ROOM) continue;
        const notice = { room_id, user_id, status, members_online };
        namespace.to(roomChannel(room_id)).emit('room.presence', notice);
      }
    },

    start(): void {
      endCounting = startLoop(COUNT_EVERY_MS, tellCounts, log, 'room counts are not told');
    },

    async stop(): Promise<void> {
      await endCounting?.();
    },
  };
}
