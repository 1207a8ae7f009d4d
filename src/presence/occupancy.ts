/**
 * Who has which room open, on any node: per /rooms connection, under its node's lease.
 *
 * Redis counts for all nodes; this node's own connections are kept here too, to answer while Redis is away and to be
 * registered again when it is back.
 */
import { isTemporary } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { RedisLinks } from '../platform/redis.ts';
import type { NodeLease } from './node-lease.ts';
import { BATCH } from './presence.store.ts';
import type { Move } from './presence.store.ts';
import { presenceScripts } from './scripts.ts';

/** For how long a Redis that did not answer is not asked again by those who only read: each would wait as long. */
const REST_MS = 1_000;

interface Opening {
  roomId: string;
  userId: string;
  socketId: string;
}

interface OccupancyDeps {
  redis: RedisLinks;
  lease: NodeLease;
  log: Logger;
}

export type { Move };
export type Occupancy = ReturnType<typeof createOccupancy>;

const keyOf = ({ roomId, userId, socketId }: Opening) => `${roomId} ${userId} ${socketId}`;

/** What one node's connections have open. */
function createLocal() {
  const openings = new Map<string, Opening>();
  const rooms = new Map<string, Map<string, number>>();
  const usersOf = (roomId: string): ReadonlyMap<string, number> => rooms.get(roomId) ?? new Map();
  return {
    openings: openings as ReadonlyMap<string, Opening>,
    usersOf,
    roomsOf: (userId: string) =>
      [...rooms].filter(([, users]) => users.has(userId)).map(([roomId]) => roomId),
    /** Whether it is the user's first connection in the room on this node. */
    add(opening: Opening): boolean {
      const { roomId, userId } = opening;
      if (openings.has(keyOf(opening))) return false;
      openings.set(keyOf(opening), opening);
      const users = rooms.get(roomId) ?? new Map<string, number>();
      rooms.set(roomId, users.set(userId, (users.get(userId) ?? 0) + 1));
      return users.get(userId) === 1;
    },
    /** Whether it was the user's last connection in the room on this node. */
    remove(opening: Opening): boolean {
      const { roomId, userId } = opening;
      if (!openings.delete(keyOf(opening))) return false;
      const users = rooms.get(roomId)!;
      const left = users.get(userId)! - 1;
      if (left > 0) users.set(userId, left);
      else users.delete(userId);
      if (users.size === 0) rooms.delete(roomId);
      return left === 0;
    },
  };
}

/**
 * No call of the returned functions throws because Redis is away: each answers with what this node knows, and what
 * Redis missed is made good at the next renewal of the node's lease.
 */
export function createOccupancy({ redis, lease, log }: OccupancyDeps) {
  const scripts = presenceScripts(redis.commands);
  const local = createLocal();
  /** Closed while Redis was away. */
  const unclosed = new Map<string, Opening>();
  const listeners: ((move: Move) => void)[] = [];
  /** How often Redis missed something of this node's, and how much of that was made good. */
  let missed = 0;
  let madeGood = 0;
  const isBehind = () => missed > madeGood;
  /** Redis was emptied, and does not know any more who was in a room before. */
  let emptied = false;

  /** Monotonic, milliseconds. */
  let askAgainAt = -Infinity;

  const ifAway = <T>(error: unknown, fallback: () => T): T => {
    if (!isTemporary(error)) throw error;
    return fallback();
  };

  /** What `ask` answers; what is known `here` while Redis does not. */
  const read = async <T>(ask: () => Promise<T>, here: () => T): Promise<T> => {
    if (performance.now() < askAgainAt) return here();
    try {
      return await ask();
    } catch (error) {
      return ifAway(error, () => {
        askAgainAt = performance.now() + REST_MS;
        return here();
      });
    }
  };

  const tell = (moves: Move[]) => {
    for (const move of moves) {
      for (const listener of listeners) {
        try {
          listener(move);
        } catch (error) {
          log.error({ err: error, room_id: move.room_id }, 'a move was not announced');
        }
      }
    }
  };

  /** Redis misses people of this node until they are registered again. */
  const atLeastHere = (roomId: string, count: number) =>
    isBehind() ? Math.max(count, local.usersOf(roomId).size) : count;

  const shut = async (opening: Opening) => {
    const { roomId, userId, socketId } = opening;
    const [last, members, at] = await scripts.cityShut(lease.due(), lease.run, roomId, userId, socketId);
    return { last: last === 1, members_online: atLeastHere(roomId, members), at };
  };

  /** Makes good a closing that Redis missed. */
  const shutLate = async (opening: Opening) => {
    const { last, ...rest } = await shut(opening);
    unclosed.delete(keyOf(opening));
    if (last) tell([{ kind: 'leave', room_id: opening.roomId, user_id: opening.userId, ...rest }]);
  };

  /** Many together: this is done between two renewals, and one round trip for each could outlast the lease. */
  const shutAllLate = async (openings: Opening[]) => {
    for (let from = 0; from < openings.length; from += BATCH) {
      await Promise.all(openings.slice(from, from + BATCH).map(shutLate));
    }
  };

  const registerAll = async () => {
    const all = [...local.openings.keys()];
    for (let from = 0; from < all.length; from += BATCH) {
      // What was closed while the batches before were under way is not opened again.
      const batch = all.slice(from, from + BATCH).filter((key) => local.openings.has(key));
      if (batch.length === 0) continue;
      const opened = batch.map((key) => key.split(' ') as [string, string, string]);
      const answers = await scripts.cityOpen(lease.due(), lease.run, ...opened.flat());
      // Whom Redis lost the others still take to be in.
      if (emptied) continue;
      const moves = answers.map(([first, members_online, at], i): Move | undefined => {
        const [room_id, user_id] = opened[i]!;
        return first === 1 ? { kind: 'join', room_id, user_id, members_online, at } : undefined;
      });
      tell(moves.filter((move) => move !== undefined));
    }
    // What is closed and still on the books: an opening overtook its closing, or Redis is back with an older state.
    const known = await redis.commands.smembers(`city:open:of:${lease.run}`);
    await shutAllLate(
      known
        .filter((key) => !local.openings.has(key))
        .map((key) => {
          const [roomId, userId, socketId] = key.split(' ') as [string, string, string];
          return { roomId, userId, socketId };
        }),
    );
  };

  lease.onRenewal(async (lost, known) => {
    if (lost) missed += 1;
    if (!known) emptied = true;
    await shutAllLate([...unclosed.values()]);
    if (!isBehind()) return;
    const upTo = missed;
    await registerAll();
    madeGood = upTo;
    emptied = false;
  });

  return {
    /** Notes that a connection has a room open; `first` when the user had it open nowhere. Idempotent. */
    async open(socketId: string, userId: string, roomId: string) {
      const opening = { roomId, userId, socketId };
      const isFirst = local.add(opening);
      unclosed.delete(keyOf(opening));
      try {
        const [answer] = await scripts.cityOpen(lease.due(), lease.run, roomId, userId, socketId);
        const [first, members, at] = answer!;
        return { first: first === 1, members_online: atLeastHere(roomId, members), at };
      } catch (error) {
        missed += 1;
        return ifAway(error, () => ({
          first: isFirst,
          members_online: local.usersOf(roomId).size,
          at: null,
        }));
      }
    },

    /** Notes that a connection has closed a room; `last` when the user has it open nowhere any more. Idempotent. */
    async close(socketId: string, userId: string, roomId: string) {
      const opening = { roomId, userId, socketId };
      const isLast = local.remove(opening);
      try {
        return await shut(opening);
      } catch (error) {
        unclosed.set(keyOf(opening), opening);
        return ifAway(error, () => ({
          last: isLast,
          members_online: local.usersOf(roomId).size,
          at: null,
        }));
      }
    },

    /** How many users have each room open, every room of `roomIds` named; one round trip. */
    async counts(roomIds: string[]): Promise<Map<string, number>> {
      if (roomIds.length === 0) return new Map();
      const ask = async () => {
        const pipeline = redis.commands.pipeline();
        for (const roomId of roomIds) pipeline.hlen(`city:open:room:${roomId}`);
        const answers = (await pipeline.exec()) ?? [];
        return new Map(
          answers.map(([error, count], i) => {
            if (error) throw error;
            const roomId = roomIds[i]!;
            return [roomId, atLeastHere(roomId, count as number)];
          }),
        );
      };
      return read(ask, () => new Map(roomIds.map((id) => [id, local.usersOf(id).size])));
    },

    /** Users who have the room open, at most `limit`, by id. */
    async members(roomId: string, limit: number): Promise<string[]> {
      const usersHere = () => local.usersOf(roomId).keys();
      const ask = async () => {
        const found = (await redis.commands.hrandfield(`city:open:room:${roomId}`, limit)) as string[];
        return [...new Set([...found, ...(isBehind() ? usersHere() : [])])].slice(0, limit).sort();
      };
      return read(ask, () => [...usersHere()].slice(0, limit).sort());
    },

    /** The rooms that the user has open on any connection. */
    roomsOf: (userId: string): Promise<string[]> =>
      read(
        () => redis.commands.hkeys(`city:open:user:${userId}`),
        () => local.roomsOf(userId),
      ),

    /**
     * Calls `listener` on the one node that finds out, by no call of its own, that a user came into a room or left it:
     * with a node that died, or while Redis was away.
     */
    onMove: (listener: (move: Move) => void): void => void listeners.push(listener),

    /** Hands reaped departures to the listeners. */
    depart: tell,
  };
}
