/** Who is typing in which room: in memory only, the same picture on every node, forgotten after 6 s. */
import { onNews, roomChannel } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';

const EXPIRES_MS = 6_000;
const NEWS = 'typing';

interface TypingNews {
  room_id: string;
  user_id: string;
  typing: boolean;
}

export type Typing = ReturnType<typeof createTyping>;

export function createTyping(namespace: RoomsNamespace, log: Logger) {
  const rooms = new Map<string, Map<string, NodeJS.Timeout>>();

  // Not Socket.IO's volatile: that drops whatever comes between two polls, also the word that somebody stopped.
  const tell = (roomId: string) => {
    const user_ids = [...(rooms.get(roomId)?.keys() ?? [])];
    namespace.local.to(roomChannel(roomId)).emit('room.typing', { room_id: roomId, user_ids });
  };

  const forget = (roomId: string, userId: string) => {
    const typists = rooms.get(roomId);
    const timer = typists?.get(userId);
    if (!typists || !timer) return;
    clearTimeout(timer);
    typists.delete(userId);
    if (typists.size === 0) rooms.delete(roomId);
    tell(roomId);
  };

  const apply = ({ room_id, user_id, typing }: TypingNews) => {
    if (!typing) return forget(room_id, user_id);
    const typists = rooms.get(room_id) ?? new Map<string, NodeJS.Timeout>();
    rooms.set(room_id, typists);
    const known = typists.get(user_id);
    clearTimeout(known);
    typists.set(
      user_id,
      setTimeout(() => forget(room_id, user_id), EXPIRES_MS),
    );
    if (!known) tell(room_id);
  };

  return {
    /** Notes that a user types, or stopped, on every node; only changes are told to the room. */
    set(roomId: string, userId: string, typing: boolean): void {
      if (!typing && !rooms.get(roomId)?.has(userId)) return;
      const news = { room_id: roomId, user_id: userId, typing };
      apply(news);
      namespace.serverSideEmit(NEWS, news as never);
    },
    start(): void {
      onNews<TypingNews>(namespace, NEWS, log, apply);
    },
    stop(): void {
      for (const typists of rooms.values()) for (const timer of typists.values()) clearTimeout(timer);
      rooms.clear();
    },
  };
}
