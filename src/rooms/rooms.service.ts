/** Rooms: what there is, who is a member, what is read. */
import slugify from '@sindresorhus/slugify';
import type { Caller } from '../auth/caller.ts';
import { authorise } from '../auth/policy.ts';
import type { Message } from '../contract/messages.ts';
import type { CreateRoom, ReadMark, Room } from '../contract/rooms.ts';
import { SLUG, SLUG_MAX } from '../contract/primitives.ts';
import type { Feed } from '../feed/feed.service.ts';
import type { Filters } from '../moderation/filters.ts';
import { createBatcher, createSemaphore } from '../platform/batcher.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Occupancy } from '../presence/occupancy.ts';
import type { Presence } from '../presence/presence.service.ts';
import { readBefore, readChanges } from '../room-log/log.repo.ts';
import type { Head, Slice } from '../room-log/log.repo.ts';
import type { Recall } from '../room-log/recall.ts';
import type { Users } from '../users/users.service.ts';
import { createMemberPages } from './member-pages.ts';
import { createRoomDetails, noSuchRoom } from './room-details.ts';
import { createRoomList } from './room-list.ts';
import { createRoomTexts } from './room-texts.ts';
import {
  deleteMember,
  findRoom,
  findStrangers,
  insertMembers,
  insertRoom,
  moveReadMark,
  roomIdOf,
  totals,
} from './rooms.repo.ts';
import type { Membership, Stranger } from './rooms.repo.ts';

const LAST_MESSAGES = 50;
const RESUME_MAX = 1_000;
/** A read takes two connections at a time: with ten in the pool a storm of joins leaves four to everybody else. */
const READS_AT_ONCE = 3;

interface RoomsDeps {
  db: Db;
  users: Users;
  feed: Feed;
  presence: Presence;
  occupancy: Occupancy;
  filters: Filters;
  metrics: Metrics;
}

interface SnapshotAsked {
  userId: string;
  roomId: string;
  since: number | undefined;
  recall: Recall;
}

/** A room with messages, all out of one state of its log. */
export interface RoomSnapshot {
  head: Head;
  room: Room;
  messages: Message[];
  has_more: boolean;
}

export type Rooms = ReturnType<typeof createRooms>;

export { noSuchRoom };

/** The slug of a name, transliterated. @throws AppError invalid when the name yields none */
export function slugOf(name: string): string {
  const slug = slugify(name, { decamelize: false }).slice(0, SLUG_MAX).replace(/-+$/, '');
  if (!SLUG.test(slug)) {
    const errors = [{ path: 'name', message: 'yields no slug; give one' }];
    throw new AppError('invalid', 'The request body is not valid.', { errors });
  }
  return slug;
}

export function createRooms({ db, users, feed, presence, occupancy, filters, metrics }: RoomsDeps) {
  const get = async (caller: Caller, roomId: string): Promise<Room> => {
    const stored = (await findRoom(db, roomId, [caller.id])).get(caller.id);
    if (!stored) throw noSuchRoom();
    return { ...stored, members_online: (await occupancy.counts([roomId])).get(roomId) ?? 0 };
  };

  const semaphore = createSemaphore(READS_AT_ONCE);
  const texts = createRoomTexts(db);
  const list = createRoomList({ db, occupancy, texts });

  /** What changed after `since`: out of memory where this node knows all of it up to the room's head. */
  const changesSince = async (
    { roomId, recall }: SnapshotAsked,
    since: number,
    found: Promise<Map<string, { last_change_seq: number }>>,
  ): Promise<Slice | null> => {
    if (recall.covers(roomId, since)) {
      const [room] = (await found).values();
      const known = room && recall.recall(roomId, since, room.last_change_seq);
      if (known) return known;
    }
    const slice = await readChanges(db, roomId, since, RESUME_MAX + 1);
    if (slice && slice.messages.length <= RESUME_MAX) recall.keep(roomId, since, slice);
    return slice;
  };

  /** One read of the log for everybody who asks for the same slice of the same room; only `joined`, `unread` differ. */
  const readTogether = createBatcher(async (asked: SnapshotAsked[]): Promise<RoomSnapshot[]> => {
    const { roomId, since } = asked[0]!;
    const userIds = [...new Set(asked.map(({ userId }) => userId))];
    const found = findRoom(db, roomId, userIds);
    const [rooms, counts, slice] = await Promise.all([
      found,
      occupancy.counts([roomId]),
      since === undefined
        ? readBefore(db, roomId, Number.MAX_SAFE_INTEGER, LAST_MESSAGES + 1)
        : changesSince(asked[0]!, since, found),
    ]);
    metrics.snapshots.inc();
    if (!slice || rooms.size === 0) throw noSuchRoom();
    const { head } = slice;
    const messages =
      since === undefined
        ? slice.messages.slice(0, LAST_MESSAGES).reverse()
        : slice.messages.slice(0, RESUME_MAX);
    return asked.map(({ userId }) => {
      const room = rooms.get(userId)!;
      const read = room.last_seq - room.unread;
      return {
        head,
        room: {
          ...room,
          members_online: counts.get(roomId) ?? 0,
          last_seq: head.last_seq,
          last_change_seq: head.last_change_seq,
          unread: Math.max(0, head.last_seq - read),
        },
        messages,
        has_more: messages.length < slice.messages.length,
      };
    });
  }, semaphore);

  /** The last messages, or with `since` what changed after it; ≤ 1,000, and whether there is more. */
  const snapshot = (
    caller: Caller,
    roomId: string,
    since: number | undefined,
    recall: Recall,
  ): Promise<RoomSnapshot> =>
    readTogether(`${roomId} ${since ?? 'last'}`, { userId: caller.id, roomId, since, recall });

  const joinTogether = createBatcher(async (asked: Membership[]) => {
    const userIds = [...new Set(asked.map(({ user_id }) => user_id))];
    const outcomes = await insertMembers(db, asked[0]!.room_id, userIds);
    return asked.map(({ user_id }) => outcomes.get(user_id)!);
  }, semaphore);

  return {
    get,
    snapshot,
    members: createMemberPages({ db, users, presence }),

    /** A page of rooms, default rooms first, then by name: a JSON array of Room. */
    list: (caller: Caller, page: { limit: number; offset: number }): Promise<Buffer> => list(caller.id, page),

    /** A room with its last messages and who has it open, in JSON. @throws AppError not_found, forbidden */
    detail: createRoomDetails({ db, occupancy, texts, metrics, semaphore }),

    /** @throws AppError room_exists; invalid when no slug is given and the name yields none */
    async create(caller: Caller, { name, slug = slugOf(name), description }: CreateRoom): Promise<Room> {
      filters.check({ name, description });
      const username = await users.nameOf(caller);
      await db.transaction(async (trx) => {
        const room = {
          slug,
          name,
          description: description ?? null,
          is_default: false,
          created_by: caller.id,
        };
        if (!(await insertRoom(trx, room)))
          throw new AppError('room_exists', `A room ${slug} exists already.`);
        await feed.roomCreated(trx, {
          room_id: roomIdOf(slug),
          user_id: caller.id,
          payload: { name, slug, username },
        });
      });
      feed.published();
      return get(caller, roomIdOf(slug));
    },

    /** @throws AppError not_found, forbidden */
    async join(caller: Caller, roomId: string): Promise<void> {
      const outcome = await joinTogether(roomId, { room_id: roomId, user_id: caller.id });
      if (outcome === 'no_room') throw noSuchRoom();
      if (outcome === 'banned') authorise(caller, 'room.join', ['banned']);
    },

    /** @throws AppError not_found */
    async leave(caller: Caller, roomId: string): Promise<void> {
      if (!(await deleteMember(db, roomId, caller.id))) throw noSuchRoom();
    },

    /** Those of `pairs` that are no membership (any more), and why. */
    strangers: (pairs: Membership[]): Promise<Stranger[]> => findStrangers(db, pairs),

    async markRead(caller: Caller, roomId: string, seq: number): Promise<ReadMark> {
      const mark = await moveReadMark(db, roomId, caller.id, seq);
      if (!mark) throw noSuchRoom();
      const { last_read_seq, last_seq } = mark;
      // The mark may be of a later moment than the head: another connection of the user has just moved it.
      return { room_id: roomId, last_read_seq, unread: Math.max(0, last_seq - last_read_seq) };
    },

    totals: () => totals(db),
  };
}
