/** Which sockets of this node have which rooms open: joining, leaving, disconnecting, and being taken out. */
import type { Caller } from '../auth/caller.ts';
import { createBatcher } from '../platform/batcher.ts';
import { AppError, isTemporary } from '../platform/errors.ts';
import { createKeyedQueue } from '../platform/keyed-queue.ts';
import { onNews, roomChannel, userChannel } from '../platform/io.ts';
import type { PresenceNamespace, RoomsNamespace, RoomsSocket } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Move, Occupancy } from '../presence/occupancy.ts';
import { roomAudience } from '../presence/presence.audience.ts';
import type { RoomLog } from '../room-log/room-log.ts';
import type { RoomNotices } from './room-notices.ts';
import type { Membership, Stranger } from './rooms.repo.ts';
import type { Rooms, RoomSnapshot } from './rooms.service.ts';

interface Closing {
  room_id: string;
  /** Null: everybody. */
  user_id: string | null;
  reason: Stranger['reason'];
}

const NEWS = 'room-closing';

/** How many users of rooms are held against the database a second; the rest waits for its turn. */
const CHECKED_AT_ONCE = 1_000;
const CHECK_MS = 1_000;

interface SubscriptionDeps {
  namespace: RoomsNamespace;
  /** Where those who were banned from a room must not go on to see who is in it. */
  presence: PresenceNamespace;
  rooms: Rooms;
  roomLog: RoomLog;
  occupancy: Occupancy;
  notices: RoomNotices;
  log: Logger;
  metrics: Metrics;
  /** Rooms that one socket may have open. */
  roomsMax: number;
}

export type Subscriptions = ReturnType<typeof createSubscriptions>;

export function createSubscriptions(deps: SubscriptionDeps) {
  const { namespace, presence, rooms, roomLog, occupancy, notices, log, metrics, roomsMax } = deps;
  /** The rooms that each socket has open. */
  const open = new Map<string, Set<string>>();
  // A join, a leave and a disconnect of one socket and room take effect in the order in which they came.
  const inTurn = createKeyedQueue();
  const key = (socket: RoomsSocket, roomId: string) => `${socket.id} ${roomId}`;

  const checkRoom = (opened: Set<string> | undefined, roomId: string) => {
    if (!opened || opened.size < roomsMax || opened.has(roomId)) return;
    metrics.refusals.inc({ limit: 'rooms_socket' });
    throw new AppError(
      'rate_limited',
      `A connection may have at most ${roomsMax} rooms open; leave one first.`,
    );
  };

  /** `isSilent` where everybody goes, and nobody is to be told of the others. */
  const closeNow = async (socket: RoomsSocket, roomId: string, isSilent = false) => {
    if (!open.get(socket.id)?.delete(roomId)) return;
    roomLog.leave(socket, roomId);
    const { caller } = socket.data;
    const { last, ...rest } = await occupancy.close(socket.id, caller.id, roomId);
    if (last && !isSilent)
      await notices.moved({ kind: 'leave', room_id: roomId, user_id: caller.id, ...rest });
  };

  /** Whether the user is a member; asked together. */
  const isMember = createBatcher(async (pairs: Membership[]) => {
    const key = ({ room_id, user_id }: Membership) => `${room_id} ${user_id}`;
    const strangers = new Set((await rooms.strangers(pairs)).map(key));
    return pairs.map((pair) => !strangers.has(key(pair)));
  });
  /** Whether the socket's user has become a member again since the room was closed to them. Unknown: no. */
  const belongs = (socket: RoomsSocket, room_id: string): Promise<boolean> =>
    isMember('members', { room_id, user_id: socket.data.caller.id }).catch((error: unknown) => {
      if (!isTemporary(error)) throw error;
      return false;
    });

  /**
   * Takes the user's sockets here, or everybody's, out of the room. News of a closing may come late: who has joined
   * since stays.
   */
  const evict = async ({ room_id, user_id, reason }: Closing) => {
    const sockets =
      user_id === null
        ? [...open].filter(([, roomIds]) => roomIds.has(room_id)).map(([id]) => id)
        : [...(namespace.adapter.rooms.get(userChannel(user_id)) ?? [])];
    const found = sockets.map((id) => namespace.sockets.get(id)).filter((socket) => socket !== undefined);
    if (reason === 'banned') {
      for (const socket of presence.sockets.values()) {
        if (socket.data.caller.id === user_id) void socket.leave(roomAudience(room_id));
      }
    }
    await Promise.all(
      found.map((socket) =>
        inTurn(key(socket, room_id), async () => {
          if (!open.get(socket.id)?.has(room_id)) return;
          // A member whose socket is not in the channel had it in a room of that id that is no more.
          if (socket.rooms.has(roomChannel(room_id)) && (await belongs(socket, room_id))) return;
          await closeNow(socket, room_id, reason === 'deleted');
          socket.emit('room.closed', { room_id, reason });
        }),
      ),
    );
  };

  const memberships = (): Membership[] => {
    const found = new Map<string, Membership>();
    for (const [id, roomIds] of open) {
      const user_id = namespace.sockets.get(id)?.data.caller.id;
      if (user_id === undefined) continue;
      for (const room_id of roomIds) found.set(`${room_id} ${user_id}`, { room_id, user_id });
    }
    return [...found.values()];
  };

  const announce = (move: Move, caller: Caller, socket: RoomsSocket) => {
    notices.moved(move, caller.name, socket.id).catch((error: unknown) => {
      log.warn({ err: error, socket_id: socket.id }, 'a join was not announced');
    });
  };

  let unchecked: Membership[] = [];
  /** News that somebody has left may be lost. Joining makes a member: whoever is none any more has left. */
  const evictStrangers = async () => {
    if (unchecked.length === 0) unchecked = memberships();
    const pairs = unchecked.splice(0, CHECKED_AT_ONCE);
    if (pairs.length === 0) return;
    for (const stranger of await rooms.strangers(pairs)) await evict(stranger);
  };
  let endChecking: (() => Promise<void>) | undefined;

  return {
    has: (socket: RoomsSocket, roomId: string) => open.get(socket.id)?.has(roomId) ?? false,

    /**
     * Makes the caller a member, subscribes the socket and hands out the snapshot; the live log follows in the same
     * tick. Joining again answers a new snapshot.
     * @throws AppError not_found, unavailable, rate_limited past the rooms that one socket may have open
     */
    async join(
      socket: RoomsSocket,
      caller: Caller,
      roomId: string,
      since: number | undefined,
      answer: (snapshot: RoomSnapshot) => void,
    ): Promise<void> {
      await inTurn(key(socket, roomId), async () => {
        const opened = open.get(socket.id);
        checkRoom(opened, roomId); // before the membership, and after it for joins that ran side by side
        await rooms.join(caller, roomId);
        if (!opened || !socket.connected) return;
        checkRoom(opened, roomId);
        const again = opened.has(roomId);
        opened.add(roomId);
        const { first, ...rest } = await occupancy.open(socket.id, caller.id, roomId);
        // Now, and not with the answer: another connection of the user may have its own before, and this one none.
        if (first) announce({ kind: 'join', room_id: roomId, user_id: caller.id, ...rest }, caller, socket);
        let answered = false;
        try {
          const read = () => rooms.snapshot(caller, roomId, since, roomLog.recall);
          answered = await roomLog.join(socket, roomId, read, answer);
        } finally {
          if (!answered && !again) await closeNow(socket, roomId);
        }
      });
    },

    /** Ends the subscription of one socket. */
    leave: (socket: RoomsSocket, roomId: string) =>
      inTurn(key(socket, roomId), () => closeNow(socket, roomId)),

    /**
     * Takes the user's sockets, or everybody's, out of the room on this node, unless the user has become a member again
     * meanwhile. Harmless when they are not in it.
     */
    evict,

    /** Takes all the user's sockets out of the room, here at once and on the other nodes as they hear of it. */
    async close(closing: Closing): Promise<void> {
      namespace.serverSideEmit(NEWS, closing as never);
      await evict(closing);
    },

    /** Follows a connected socket until it goes. */
    attach(socket: RoomsSocket): void {
      open.set(socket.id, new Set());
      socket.on('disconnect', () => {
        const roomIds = [...(open.get(socket.id) ?? [])];
        const closing = roomIds.map((roomId) => inTurn(key(socket, roomId), () => closeNow(socket, roomId)));
        Promise.all(closing)
          .catch((error: unknown) =>
            log.warn({ err: error, socket_id: socket.id }, 'a leave was not announced'),
          )
          .finally(() => open.delete(socket.id));
      });
    },

    start(): void {
      onNews<Closing>(namespace, NEWS, log, evict);
      endChecking = startLoop(CHECK_MS, evictStrangers, log, 'memberships cannot be checked');
    },

    async stop(): Promise<void> {
      await endChecking?.();
    },
  };
}
