/** Room events: join, leave, read mark. */
import type { ROOMS_CLIENT_EVENTS } from '../contract/events.ts';
import type { Gateway } from '../platform/gateway.ts';
import type { RoomsSocket } from '../platform/io.ts';
import type { Rooms } from './rooms.service.ts';
import type { Subscriptions } from './subscriptions.ts';

interface RoomEventDeps {
  gateway: Gateway<RoomsSocket, typeof ROOMS_CLIENT_EVENTS>;
  rooms: Rooms;
  subscriptions: Subscriptions;
}

export function attachRooms({ gateway, rooms, subscriptions }: RoomEventDeps): void {
  gateway.on('room.join', { limit: 'join' }, async ({ socket, caller, payload, answer }) => {
    await subscriptions.join(
      socket,
      caller,
      payload.room_id,
      payload.since,
      ({ room, messages, has_more }) => {
        answer({ room, messages, has_more, members_online: room.members_online });
      },
    );
  });

  gateway.on('room.leave', { limit: 'read' }, async ({ socket, payload }) => {
    await subscriptions.leave(socket, payload.room_id);
  });

  gateway.on('room.read', { limit: 'read' }, async ({ caller, payload }) => {
    const { last_read_seq, unread } = await rooms.markRead(caller, payload.room_id, payload.seq);
    return { last_read_seq, unread };
  });
}
