/**
 * The feed's events: pages of the whole city, and what other features add. `city_feed_events` is a view of the rooms'
 * logs and of what else happens (migration 0010).
 */
import type { FeedEvent, FeedKind } from '../contract/feed.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/** Which part of a feed to read, newest first: below `before` (an event's n) where given, after skipping `offset`. */
export interface FeedPage {
  limit: number;
  offset: number;
  before: number | undefined;
  kind: FeedKind | undefined;
}

/** The rooms that a user is banned from. */
export async function findBannedRooms(db: Db, userId: string): Promise<string[]> {
  const found = await rows<{ room_id: string }>(
    db,
    `select room_id from city_restrictions_in_force where user_id = ? and kind = 'ban'`,
    [userId],
  );
  return found.map(({ room_id }) => room_id);
}

/** The event of a new room. */
export interface RoomCreated {
  id: string;
  room_id: string;
  user_id: string;
  payload: { name: string; slug: string; username: string };
}

const WIRE = [
  'id',
  'kind',
  'room_id',
  'user_id',
  'agent_id',
  'payload',
  'created_at',
] as const satisfies (keyof FeedEvent)[];

/** The columns of a FeedEvent, of a view named `e`. */
export const FEED_EVENT = WIRE.map((name) => `e.${name}`).join(', ');

/** The place of an event in the feed, whether or not it has been removed since; undefined when there is none. */
export async function findPlace(db: Db, eventId: string): Promise<number | undefined> {
  const [found] = await rows<{ n: number }>(
    db,
    `select feed_n n from city_room_messages where id = 'm_city_' || substr(:eventId, 10)
     union all select n from city_events where id = :eventId
     union all select event_n from city_feed_removals where event_id = :eventId
     limit 1`,
    { eventId },
  );
  return found?.n;
}

/** Whether events of `kind` are messages. */
export const areMessages = (kind: FeedKind): boolean => kind === 'room_message' || kind === 'agent_reply';

/** The part of the feed that is no messages: small, so that it is looked through without going through all of those. */
export const BESIDE_MESSAGES = `
  (select *, null::timestamptz removed_at from city_events where n >= (select n from city_feed_start))`;

/** A page of the whole city's feed without what happened in the rooms `without`, newest first. */
export function listCity(
  db: Db,
  { limit, offset, before, kind }: FeedPage,
  without: string[],
): Promise<FeedEvent[]> {
  const feed = kind === undefined || areMessages(kind) ? 'city_feed_events' : BESIDE_MESSAGES;
  const where = ['e.removed_at is null'];
  if (kind !== undefined) where.push('e.kind = :kind');
  if (before !== undefined) where.push('e.n < :before');
  if (without.length > 0) where.push('(e.room_id is null or e.room_id <> all(:without))');
  // The page is found in the indexes alone, so that skipped events cost no visit to the tables.
  return rows<FeedEvent>(
    db,
    `select ${FEED_EVENT}
     from (
       select e.n from ${feed} e where ${where.join(' and ')} order by e.n desc limit :limit offset :offset
     ) page
     join ${feed} e using (n)
     order by n desc`,
    {
      limit,
      offset,
      ...(before === undefined ? {} : { before }),
      ...(kind === undefined ? {} : { kind }),
      ...(without.length === 0 ? {} : { without: without as never }),
    },
  );
}

/**
 * Adds the event of a new room.
 *
 * `trx` must be the transaction that creates the room and its head: nobody can lock that head, and so send to the room,
 * before this one is committed. That keeps the event in front of the room's messages.
 */
export async function insertRoomCreated(trx: Db, event: RoomCreated): Promise<void> {
  await trx.raw(
    `insert into city_events (id, kind, room_id, user_id, payload) values (?, 'room_created', ?, ?, ?::jsonb)`,
    [event.id, event.room_id, event.user_id, JSON.stringify(event.payload)],
  );
}
