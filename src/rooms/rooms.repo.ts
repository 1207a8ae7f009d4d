/** Rooms, membership and read marks in PostgreSQL. */
import type { Room } from '../contract/rooms.ts';
import type { Db } from '../platform/db.ts';
import { prepared, rows } from '../platform/db.ts';
import { refersToGone } from '../platform/errors.ts';

/** A room as the database knows it; `members_online` is Redis's to say. */
export type StoredRoom = Omit<Room, 'members_online'>;

const ROOM = `
  select r.id, r.slug, r.name, r.description, r.is_default, r.created_at, r.created_by, h.last_event_at last_event,
         h.last_seq, h.last_change_seq, m.user_id is not null joined,
         h.last_seq - coalesce(k.last_read_seq, 0) unread, r.slow_mode_s`;

/** `u.id` is whom `joined` and `unread` are for. */
const FROM = `
  join city_room_heads h on h.room_id = r.id
  left join city_room_members m on m.room_id = r.id and m.user_id = u.id
  left join city_read_marks k on k.room_id = r.id and k.user_id = u.id`;

/** A room at one moment, as far as it changes often; `version` is that of the rest, which is its row in city_rooms. */
export interface RoomState {
  id: string;
  version: string;
  last_seq: number;
  last_change_seq: number;
  /** Time of the newest message, milliseconds since the epoch; null when there is none. */
  last_event_ms: number | null;
}

/**
 * What a user has to do with rooms, as words: the ids of those they are a member of; ids, each followed by the number
 * up to which they have read.
 */
export interface RoomsOfUser {
  joined: string[];
  read: string[];
}

// A row that has been changed never has an xmin again that it had before.
const STATE = `r.xmin::text version, h.last_seq, h.last_change_seq,
  (extract(epoch from h.last_event_at) * 1000)::bigint last_event_ms`;

/** Lines and not rows: what is parsed for each caller is what a list costs. */
const PAGE = `
  select null user_id, 'page' what, array_to_string(array(
    select concat_ws(' ', id, version, last_seq, last_change_seq, last_event_ms) from (
      select r.id, ${STATE} from city_rooms r join city_room_heads h on h.room_id = r.id
      order by r.is_default desc, lower(r.name), r.id limit $1 offset $2
    ) page
  ), ',') line
  union all
  select user_id, 'joined', string_agg(room_id, ' ')
  from city_room_members where user_id = any($3) group by user_id
  union all
  select user_id, 'read', string_agg(concat_ws(' ', room_id, last_read_seq), ' ')
  from city_read_marks where user_id = any($3) group by user_id`;

/**
 * A page of rooms, default rooms first, then by name, as one line: the fields of RoomState with spaces between them,
 * rooms with commas; and what each of `userIds` has to do with any rooms, by user.
 */
export async function readPage(
  db: Db,
  userIds: string[],
  limit: number,
  offset: number,
): Promise<{ line: string; users: Map<string, RoomsOfUser> }> {
  const found = await prepared<{ user_id: string; what: 'page' | 'joined' | 'read'; line: string }>(
    db,
    'city_room_page',
    PAGE,
    [limit, offset, userIds],
  );
  const users = new Map<string, RoomsOfUser>();
  let page = '';
  for (const { user_id, what, line } of found) {
    if (what === 'page') {
      page = line;
      continue;
    }
    const rooms = users.get(user_id) ?? { joined: [], read: [] };
    users.set(user_id, rooms);
    rooms[what] = line.split(' ');
  }
  return { line: page, users };
}

/** What of a room changes seldom, with its version. */
export type RoomFace = Omit<
  Room,
  'members_online' | 'last_event' | 'last_seq' | 'last_change_seq' | 'joined' | 'unread'
>;

/** Those of `roomIds` that exist. */
export function readFaces(db: Db, roomIds: string[]): Promise<(RoomFace & { version: string })[]> {
  return rows(
    db,
    `select r.xmin::text version, r.id, r.slug, r.name, r.description, r.is_default, r.created_at, r.created_by, r.slow_mode_s
     from city_rooms r join city_room_heads h on h.room_id = r.id where r.id = any(?)`,
    [roomIds as never],
  );
}

/** How one user stands to a room. */
export interface Standing {
  user_id: string;
  joined: boolean;
  last_read_seq: number;
  banned: boolean;
}

/** How each of `userIds` stands to a room, with the room; empty when there is no such room. */
export function readStandings(db: Db, roomId: string, userIds: string[]): Promise<(RoomState & Standing)[]> {
  return prepared(
    db,
    'city_room_standings',
    `select r.id, ${STATE}, u.id user_id, m.user_id is not null joined, coalesce(k.last_read_seq, 0) last_read_seq,
            exists (select from city_restrictions_in_force f
                    where f.room_id = r.id and f.user_id = u.id and f.kind = 'ban') banned
     from city_rooms r cross join unnest($2::text[]) u(id) ${FROM} where r.id = $1`,
    [roomId, userIds],
  );
}

/** The room as each of `userIds` has it, by user; empty when there is no such room. */
export async function findRoom(db: Db, roomId: string, userIds: string[]): Promise<Map<string, StoredRoom>> {
  const found = await rows<StoredRoom & { for_user: string }>(
    db,
    `${ROOM}, u.id for_user from city_rooms r cross join unnest(:userIds::text[]) u(id) ${FROM}
     where r.id = :roomId`,
    { roomId, userIds: userIds as never },
  );
  return new Map(found.map(({ for_user, ...room }) => [for_user, room]));
}

interface NewRoom {
  slug: string;
  name: string;
  description: string | null;
  is_default: boolean;
  created_by: string | null;
}

export const roomIdOf = (slug: string) => `room_city_${slug}`;

/** Creates a room with an empty log; false when its slug is taken, also by a room that is still being purged. */
export async function insertRoom(db: Db, room: NewRoom): Promise<boolean> {
  const [created] = await rows(
    db,
    `with room as (
       insert into city_rooms (id, slug, name, description, is_default, created_by)
       values (:id, :slug, :name, :description, :is_default, :created_by)
       on conflict do nothing returning id
     )
     insert into city_room_heads (room_id, first_change_seq, last_change_seq)
     select r.id, coalesce(d.last_change_seq + 1, 0), coalesce(d.last_change_seq + 1, 0)
     from room r left join city_deleted_rooms d on d.room_id = r.id
     returning room_id`,
    { id: roomIdOf(room.slug), ...room },
  );
  return created !== undefined;
}

/** Makes rooms that exist default ones. */
export async function markDefault(db: Db, roomIds: string[]): Promise<void> {
  await db.raw('update city_rooms set is_default = true where id = any(?) and not is_default', [
    roomIds as never,
  ]);
}

/** What became of a wish to be a member (migration 0005). */
export type Joining = 'joined' | 'banned' | 'no_room';

/**
 * Makes the users members, unless they are banned; what became of each. In the order of their ids, so that two nodes
 * that do it for the same users do not wait for each other.
 */
export async function insertMembers(
  db: Db,
  roomId: string,
  userIds: string[],
): Promise<Map<string, Joining>> {
  const found = await rows<{ member: string; outcome: Joining }>(db, 'select * from city_join(?, ?)', [
    roomId,
    userIds as never,
  ]);
  return new Map(found.map(({ member, outcome }) => [member, outcome]));
}

/** Ends the membership; false when there is no such room. */
export async function deleteMember(db: Db, roomId: string, userId: string): Promise<boolean> {
  const found = await rows(
    db,
    `with room as (select room_id id from city_room_heads where room_id = :roomId),
          gone as (delete from city_room_members where room_id = :roomId and user_id = :userId)
     select id from room`,
    { roomId, userId },
  );
  return found.length > 0;
}

export interface StoredMember {
  user_id: string;
  joined_at: string;
}

/** Members by id, after `after`: those `among` the `ids`, or those who are not. */
export function listMembers(
  db: Db,
  roomId: string,
  page: { ids: string[]; among: boolean; after: string; limit: number },
): Promise<StoredMember[]> {
  return rows<StoredMember>(
    db,
    `select user_id, joined_at from city_room_members
     where room_id = :roomId and user_id > :after and (user_id = any(:ids)) = :among
     order by user_id limit :limit`,
    { roomId, ...page, ids: page.ids as never },
  );
}

/** A user and a room. */
export interface Membership {
  room_id: string;
  user_id: string;
}

/** Who is no member (any more), and why. */
export interface Stranger extends Membership {
  reason: 'left' | 'banned' | 'kicked' | 'deleted';
}

/** Those of `pairs` that are no membership (any more). */
export function findStrangers(db: Db, pairs: Membership[]): Promise<Stranger[]> {
  const roomIds = pairs.map(({ room_id }) => room_id);
  const userIds = pairs.map(({ user_id }) => user_id);
  return prepared<Stranger>(
    db,
    'city_strangers',
    `select p.room_id, p.user_id,
       case when h.room_id is null then 'deleted'
            when h.first_change_seq > 0 and exists (select from city_deleted_rooms d
                         where d.room_id = p.room_id and d.deleted_at > now() - interval '1 minute') then 'deleted'
            when exists (select from city_restrictions_in_force r
                         where r.room_id = p.room_id and r.user_id = p.user_id and r.kind = 'ban') then 'banned'
            when exists (select from city_moderation_log l
                         where l.room_id = p.room_id and l.user_id = p.user_id and l.action = 'kick'
                           and l.created_at > now() - interval '1 minute') then 'kicked'
            else 'left' end reason
     from unnest($1::text[], $2::text[]) p (room_id, user_id)
     left join city_room_heads h on h.room_id = p.room_id
     -- The members of a room that has ended are there until the purge takes them.
     where h.room_id is null
        or not exists (select from city_room_members m where m.room_id = p.room_id and m.user_id = p.user_id)`,
    [roomIds, userIds],
  );
}

/** Moves a read mark forward, at most to the room's last message; undefined when there is no such room. */
export async function moveReadMark(
  db: Db,
  roomId: string,
  userId: string,
  seq: number,
): Promise<{ last_read_seq: number; last_seq: number } | undefined> {
  const [mark] = await rows<{ last_read_seq: number; last_seq: number }>(
    db,
    `with head as (select last_seq from city_room_heads where room_id = :roomId),
          mark as (
            insert into city_read_marks as k (user_id, room_id, last_read_seq)
            select :userId, :roomId, least(:seq::bigint, last_seq) from head
            on conflict (user_id, room_id)
            do update set last_read_seq = greatest(k.last_read_seq, excluded.last_read_seq)
            returning last_read_seq
          )
     select mark.last_read_seq, head.last_seq from mark, head`,
    { roomId, userId, seq },
  ).catch((error: unknown) => {
    // Ended and purged since the head was read: a lock would make those who read wait for those who write.
    if (!refersToGone(error)) throw error;
    return [];
  });
  return mark;
}

/** How many rooms there are, and how many messages were ever sent in them. */
export async function totals(db: Db): Promise<{ rooms: number; messages: number }> {
  const sql = 'select count(*)::int rooms, coalesce(sum(last_seq), 0)::bigint messages from city_room_heads';
  return (await rows<{ rooms: number; messages: number }>(db, sql))[0]!;
}
