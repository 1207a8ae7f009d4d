/** REST calls about rooms, membership and read marks. */
import type { Route } from '../platform/http.ts';
import type { Occupancy } from '../presence/occupancy.ts';
import type { RoomCare } from './care.service.ts';
import type { Rooms } from './rooms.service.ts';
import type { Subscriptions } from './subscriptions.ts';

interface RoomRouteDeps {
  rooms: Rooms;
  care: RoomCare;
  occupancy: Occupancy;
  subscriptions: Subscriptions;
}

export function roomRoutes(route: Route, { rooms, care, occupancy, subscriptions }: RoomRouteDeps): void {
  const membersOnline = async (roomId: string) => (await occupancy.counts([roomId])).get(roomId) ?? 0;

  route('listRooms', async ({ caller, query }) => ({ json: await rooms.list(caller, query) }));

  route(
    'createRoom',
    async ({ caller, body }) => ({ status: 201, body: await rooms.create(caller, body) }),
    'new_room',
  );

  route('getRoom', async ({ caller, params }) => ({ json: await rooms.detail(caller, params.room_id) }));

  route('updateRoom', async ({ caller, params, body, requestId }) => ({
    body: await care.update(caller, params.room_id, body, requestId),
  }));

  route('deleteRoom', async ({ caller, params: { room_id }, requestId }) => {
    await care.remove(caller, room_id, requestId);
    return { body: { room_id, deleted: true } };
  });

  route(
    'joinRoom',
    async ({ caller, params: { room_id } }) => {
      await rooms.join(caller, room_id);
      const members_online = await membersOnline(room_id);
      return { body: { room_id, user_id: caller.id, joined: true, members_online } };
    },
    'join',
  );

  route('leaveRoom', async ({ caller, params: { room_id } }) => {
    await rooms.leave(caller, room_id);
    // Counted before the other nodes have heard of it, less the caller where some node still counts them.
    await subscriptions.close({ room_id, user_id: caller.id, reason: 'left' });
    const [count, stillOpen] = await Promise.all([membersOnline(room_id), occupancy.roomsOf(caller.id)]);
    const members_online = stillOpen.includes(room_id) ? Math.max(0, count - 1) : count;
    return { body: { room_id, user_id: caller.id, joined: false, members_online } };
  });

  route('listMembers', async ({ caller, params, query }) => {
    await rooms.get(caller, params.room_id);
    return { body: await rooms.members(params.room_id, query) };
  });

  route('markRead', async ({ caller, params, body }) => ({
    body: await rooms.markRead(caller, params.room_id, body.seq),
  }));
}
