/** The plate of a room that is known by its id; a room that is gone or far down the list shows its address. */
import { useRooms } from '../../../src/client/react.ts';
import { roomIdHref } from '../route.ts';

export function useRoomName(id: string): string {
  const { rooms } = useRooms();
  return rooms?.find((room) => room.id === id)?.name ?? id.replace(/^room_city_/, '');
}

export function RoomPlate({ id }: { id: string }) {
  return (
    <a href={roomIdHref(id)} className="plate is-small" dir="auto">
      {useRoomName(id)}
    </a>
  );
}
