/** A room before anything is known of it. */
import type { RoomState } from './types.ts';

const PREFIX = 'room_city_';

/** The id of a room that is named by its id or its slug. */
export const roomIdOf = (ref: string): string => (ref.startsWith(PREFIX) ? ref : PREFIX + ref);

export const initialRoom = (room_id: string): RoomState => ({
  room_id,
  status: 'joining',
  room: null,
  messages: [],
  outgoing: [],
  hasOlder: false,
  loadingOlder: false,
  olderError: null,
  typing: [],
  membersOnline: 0,
  online: [],
  unread: 0,
  firstUnreadSeq: null,
  closed: null,
  error: null,
});
