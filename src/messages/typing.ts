/** Who is typing in which room: in memory only, the same picture on every node, forgotten after 6 s. */
import { onNews, roomChannel } from '../platform/io.ts';
import type { RoomsNamespace, RoomsSocket } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';

const EXPIRES_MS = 6_000;
const NEWS = 'typing';
/** What the channel of every room begins with. */
const CHANNEL = roomChannel('');

interface TypingNews {
  room_id: string;
  user_id: string;
  /** Nodes of an older version do not name it: to them a user has one. */
  socket_id?: string;
  typing: boolean;
}

interface Typist {
  user_id: string;
  timer: NodeJS.Timeout;
}

export type Typing = ReturnType<typeof createTyping>;

export function createTyping(namespace: RoomsNamespace, log: Logger) {
  /** By room and socket. */
  const rooms = new Map<string, Map<string, Typist>>();

  const usersIn = (roomId: string) =>
    new Set([...(rooms.get(roomId)?.values() ?? [])].map(({ user_id }) => user_id));

  // Not Socket.IO's volatile: that drops whatever comes between two polls, also the word that somebody stopped.
  const tell = (roomId: string) => {
    const user_ids = [...usersIn(roomId)];
    namespace.local.to(roomChannel(roomId)).emit('room.typing', { room_id: roomId, user_ids });
  };

  const forget = (roomId: string, socketId: string) => {
    const typists = rooms.get(roomId);
    const typist = typists?.get(socketId);
    if (!typists || !typist) return;
    clearTimeout(typist.timer);
    typists.delete(socketId);
    if (typists.size === 0) rooms.delete(roomId);
    if (!usersIn(roomId).has(typist.user_id)) tell(roomId);
  };

  const apply = ({ room_id, user_id, socket_id = user_id, typing }: TypingNews) => {
    if (!typing) return forget(room_id, socket_id);
    const typists = rooms.get(room_id) ?? new Map<string, Typist>();
    rooms.set(room_id, typists);
    const known = typists.get(socket_id);
    const isNew = !known && !usersIn(room_id).has(user_id);
    clearTimeout(known?.timer);
    const timer = setTimeout(() => forget(room_id, socket_id), EXPIRES_MS);
    typists.set(socket_id, { user_id, timer });
    if (isNew) tell(room_id);
  };

  const spread = (news: TypingNews) => {
    apply(news);
    namespace.serverSideEmit(NEWS, news as never);
  };

  /** Says on every node that a socket of this one types no more, if it did. */
  const stopped = (roomId: string, socketId: string) => {
    const typist = rooms.get(roomId)?.get(socketId);
    if (!typist) return;
    spread({ room_id: roomId, user_id: typist.user_id, socket_id: socketId, typing: false });
  };

  return {
    /** Notes that the user of a socket types there, or stopped, on every node; only changes are told to the room. */
    set(socket: RoomsSocket, roomId: string, typing: boolean): void {
      if (!typing) return stopped(roomId, socket.id);
      // One that is gone already would not be seen to leave.
      if (!socket.rooms.has(roomChannel(roomId))) return;
      spread({ room_id: roomId, user_id: socket.data.caller.id, socket_id: socket.id, typing });
    },
    start(): void {
      onNews<TypingNews>(namespace, NEWS, log, apply);
      // Whoever leaves, is taken out or disconnects.
      namespace.adapter.on('leave-room', (channel: string, socketId: string) => {
        if (channel.startsWith(CHANNEL)) stopped(channel.slice(CHANNEL.length), socketId);
      });
    },
    stop(): void {
      for (const typists of rooms.values()) for (const { timer } of typists.values()) clearTimeout(timer);
      rooms.clear();
    },
  };
}
