/** What a room is told about the people in it: who came, who went, who is away; in big rooms only how many. */
import { LRUCache } from 'lru-cache';
import type { UserPresence } from '../contract/presence.ts';
import { createKeyedQueue } from '../platform/keyed-queue.ts';
import { onNews, roomChannel } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import type { Move, Occupancy } from '../presence/occupancy.ts';
import type { Users } from '../users/users.service.ts';

/** Above this many users online a room hears counts only. */
const BIG_ROOM = 200;
const COUNT_EVERY_MS = 3_000;

const NEWS = 'room-move';
/** For so long the last move of a user is remembered; news of two nodes cross by less. */
const REMEMBERED_MS = 60_000;
const REMEMBERED_MAX = 20_000;

/** A move with the name that is told. */
type NamedMove = Move & { username: string };

interface NoticeDeps {
  namespace: RoomsNamespace;
  occupancy: Occupancy;
  users: Users;
  log: Logger;
}

export type RoomNotices = ReturnType<typeof createRoomNotices>;

/**
 * Notices are news, not truth, and may be lost; but nobody is told last what was not so last. Moves of one user on two
 * nodes have their order from Redis, and their news may cross: every node tells its own subscribers, and leaves out
 * what is older than what it has told.
 */
export function createRoomNotices({ namespace, occupancy, users, log }: NoticeDeps) {
  /** The count that a big room was told last. */
  const told = new Map<string, number>();
  /** What was told last: of a user in a room, and of a room. */
  const lastMoves = new LRUCache<string, Pick<Move, 'kind' | 'at'>>({
    max: REMEMBERED_MAX,
    ttl: REMEMBERED_MS,
  });
  const lastCounts = new LRUCache<string, Move>({ max: REMEMBERED_MAX, ttl: REMEMBERED_MS });
  // A leave must not overtake the join before it, whose name may take longer to find.
  const inTurn = createKeyedQueue();
  let endCounting: (() => Promise<void>) | undefined;

  const isOlder = (move: Pick<Move, 'at'>, last: Pick<Move, 'at'> | undefined) =>
    move.at !== null && last !== undefined && move.at < (last.at ?? 0);

  /** Tells the subscribers of this node, but not the socket that came. */
  const tellHere = (move: NamedMove, except: string[] = []) => {
    const { kind, room_id, user_id, username } = move;
    const key = `${room_id} ${user_id}`;
    const last = lastMoves.get(key);
    if (isOlder(move, last) || last?.kind === kind) return;
    lastMoves.set(key, move);
    const newest = lastCounts.get(room_id);
    const counted = newest && isOlder(move, newest) ? newest : move;
    lastCounts.set(room_id, counted);
    const notice = { room_id, user_id, username, members_online: counted.members_online };
    namespace.local.to(roomChannel(room_id)).except(except).emit(`room.${kind}`, notice);
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
    /**
     * A user's first connection opened the room, or the last one closed it. `name` is the user's where it is known,
     * `socketId` the connection that is not told.
     */
    async moved(move: Move, name?: string, socketId?: string): Promise<void> {
      if (move.members_online > BIG_ROOM) return;
      const { room_id, user_id } = move;
      await inTurn(`${room_id} ${user_id}`, async () => {
        const username = name ?? (await users.named([{ user_id }]))[0]!.username;
        const news: NamedMove = { ...move, username };
        namespace.serverSideEmit(NEWS, news as never);
        tellHere(news, socketId === undefined ? [] : [socketId]);
      });
    },

    /** A user who has these rooms open changed status; for the subscribers of this node. */
    async presence({ user_id, status }: UserPresence, roomIds: string[]): Promise<void> {
      const here = roomIds.filter((roomId) => namespace.adapter.rooms.has(roomChannel(roomId)));
      for (const [room_id, members_online] of await occupancy.counts(here)) {
        if (members_online > BIG_ROOM) continue;
        const notice = { room_id, user_id, status, members_online };
        namespace.local.to(roomChannel(room_id)).emit('room.presence', notice);
      }
    },

    start(): void {
      onNews<NamedMove>(namespace, NEWS, log, (move) => tellHere(move));
      endCounting = startLoop(COUNT_EVERY_MS, tellCounts, log, 'room counts are not told');
    },

    async stop(): Promise<void> {
      await endCounting?.();
    },
  };
}
