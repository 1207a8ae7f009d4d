/** Reads and writes of room logs. */
import type { Message } from '../contract/messages.ts';
import type { Db } from '../platform/db.ts';
import { prepared, rows } from '../platform/db.ts';

export interface Head {
  room_id: string;
  last_seq: number;
  last_change_seq: number;
  /** Whoever stands below it knows the log of a room that was deleted (migration 0013). */
  first_change_seq: number;
}

/** A new message, ready to be numbered. */
export interface Creation {
  id: string;
  room_id: string;
  sender_id: string;
  author_user_id: string | null;
  author_agent_id: string | null;
  username: string;
  body: string;
  client_id: string | null;
  /** Whether slow mode does not hold for the sender. */
  unslowed?: boolean;
}

/** A change to a message that exists. */
export interface Change {
  /** A UUID of its own, by which a repetition after a lost answer is recognised; the writer gives it one. */
  id?: string;
  kind: 'edit' | 'delete';
  room_id: string;
  message_id: string;
  body: string;
  /** Whose it is: a ban, and a mute for an edit, that is committed before it keeps it from being stored. */
  by?: string;
}

/**
 * What became of a creation or a change. `repeated`, `mismatch`: the key was used before, with the same or another
 * body. `unchanged`: already so. `gone`: the message is deleted. `banned`, `muted`: who sends or changes it is, in that
 * room. `slowed`: the sender's last message is too recent for the room's slow mode.
 */
export type Outcome =
  | 'created'
  | 'repeated'
  | 'mismatch'
  | 'changed'
  | 'unchanged'
  | 'gone'
  | 'no_room'
  | 'no_message'
  | 'banned'
  | 'muted'
  | 'slowed';

export interface Appended {
  ord: number;
  outcome: Outcome;
  message: Message;
  /** Of `slowed`: the wait, milliseconds. */
  retry_after_ms: number | null;
}

const WIRE = [
  'id',
  'room_id',
  'seq',
  'change_seq',
  'author_user_id',
  'author_agent_id',
  'username',
  'body',
  'client_id',
  'created_at',
  'edited_at',
  'deleted_at',
] as const satisfies (keyof Message)[];

const columns = (of: string) => WIRE.map((name) => `${of}.${name}`).join(', ');
const MESSAGE = columns('m');

/** Where a new message goes: its room's place in a list, and which of the batch's messages to that room it is, from 1. */
interface Place {
  room: number;
  nth: number;
}

function placesIn(rooms: string[], creations: Creation[]): Place[] {
  const places = new Map(rooms.map((room_id, room) => [room_id, { room, nth: 0 }]));
  return creations.map(({ room_id }) => {
    const last = places.get(room_id)!;
    last.nth += 1;
    return { ...last };
  });
}

/** What the counters of each room were before, and the time that its messages have (epoch, ms). */
interface Posted {
  last_seqs: number[] | null;
  last_change_seqs: number[];
  times: number[];
}

const POSTED = 'select last_seqs, last_change_seqs, times';

function postOne(db: Db, message: Creation): Promise<Posted[]> {
  const { room_id, id, sender_id, author_agent_id, username, body, client_id } = message;
  return prepared<Posted>(db, 'city_post_one', `${POSTED} from city_post_one($1, $2, $3, $4, $5, $6, $7)`, [
    room_id,
    id,
    sender_id,
    author_agent_id,
    username,
    body,
    client_id,
  ]);
}

function postMany(db: Db, creations: Creation[], rooms: string[], places: Place[]): Promise<Posted[]> {
  const counts = rooms.map(() => 0);
  for (const { room } of places) counts[room]! += 1;
  return prepared<Posted>(
    db,
    'city_post',
    `${POSTED} from city_post($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      rooms,
      counts,
      places.map(({ room }) => room + 1),
      places.map(({ nth }) => nth),
      creations.map(({ id }) => id),
      creations.map(({ sender_id }) => sender_id),
      creations.map(({ author_agent_id }) => author_agent_id),
      creations.map(({ username }) => username),
      creations.map(({ body }) => body),
      creations.map(({ client_id }) => client_id),
    ],
  );
}

/**
 * Commits new messages about which nothing is unusual, in the order given; undefined, with nothing done, when
 * something is (migrations 0008 and 0010), and then `appendBatch` says what became of each.
 */
export async function postBatch(db: Db, creations: Creation[]): Promise<Message[] | undefined> {
  const rooms = [...new Set(creations.map(({ room_id }) => room_id))];
  const places = placesIn(rooms, creations);
  const [posted] = await (creations.length === 1
    ? postOne(db, creations[0]!)
    : postMany(db, creations, rooms, places));
  const { last_seqs, last_change_seqs, times } = posted!;
  if (!last_seqs) return undefined;
  const moments = times.map((time) => new Date(time).toISOString());
  return creations.map(
    ({ id, room_id, author_user_id, author_agent_id, username, body, client_id }, index) => {
      const { room, nth } = places[index]!;
      const seq = last_seqs[room]! + nth;
      const change_seq = last_change_seqs[room]! + nth;
      const wording = { author_user_id, author_agent_id, username, body, client_id };
      return {
        id,
        room_id,
        seq,
        change_seq,
        ...wording,
        created_at: moments[room]!,
        edited_at: null,
        deleted_at: null,
      };
    },
  );
}

/** Commits one batch, whatever is in it (migrations 0005, 0010 to 0012); `ord` counts creations first, then changes. */
export async function appendBatch(db: Db, creations: Creation[], changes: Change[]): Promise<Appended[]> {
  const found = await rows<Message & Omit<Appended, 'message'>>(
    db,
    `select (r.entry).ord, (r.entry).outcome, r.retry_after_ms, ${columns('((r.entry).message)')}
     from city_send(?::jsonb, ?::jsonb) r`,
    [
      JSON.stringify(creations.map((creation, index) => ({ ord: index, ...creation }))),
      JSON.stringify(changes.map((change, index) => ({ ord: creations.length + index, ...change }))),
    ],
  );
  return found.map(({ ord, outcome, retry_after_ms, ...message }) => ({
    ord,
    outcome,
    message,
    retry_after_ms,
  }));
}

/** The heads of `roomIds`; rooms that do not exist are missing. */
export function readHeads(db: Db, roomIds: string[]): Promise<Head[]> {
  return prepared<Head>(
    db,
    'city_heads',
    'select room_id, last_seq, last_change_seq, first_change_seq from city_room_heads where room_id = any($1)',
    [roomIds],
  );
}

/** Messages of a room together with its head, out of one snapshot of the database. */
export interface Slice {
  head: Head;
  messages: Message[];
}

async function slice(
  db: Db,
  roomId: string,
  { where, order, limit }: { where: [string, number]; order: string; limit: number },
): Promise<Slice | null> {
  const found = await rows<Message & { h_seq: number; h_change_seq: number; h_first: number }>(
    db,
    `select h.last_seq h_seq, h.last_change_seq h_change_seq, h.first_change_seq h_first, ${MESSAGE}
     from city_room_heads h
     left join lateral (
       select * from city_room_messages m where m.room_id = h.room_id and ${where[0]} order by ${order} limit ?
     ) m on true
     where h.room_id = ? order by ${order}`,
    [where[1], limit, roomId],
  );
  const [first] = found;
  if (!first) return null;
  const { h_seq: last_seq, h_change_seq: last_change_seq, h_first: first_change_seq } = first;
  const head = { room_id: roomId, last_seq, last_change_seq, first_change_seq };
  const messages = found
    .filter(({ id }) => id !== null)
    .map(({ h_seq: _seq, h_change_seq: _change, h_first: _first, ...message }) => message);
  return { head, messages };
}

/** Messages whose latest change is after `since`, by change number; null when there is no such room. */
export function readChanges(db: Db, roomId: string, since: number, limit: number): Promise<Slice | null> {
  return slice(db, roomId, { where: ['m.change_seq > ?', since], order: 'm.change_seq', limit });
}

/** The newest messages below `beforeSeq`, newest first; null when there is no such room. */
export function readBefore(db: Db, roomId: string, beforeSeq: number, limit: number): Promise<Slice | null> {
  return slice(db, roomId, { where: ['m.seq < ?', beforeSeq], order: 'm.seq desc', limit });
}

/** The oldest messages above `afterSeq`, oldest first; null when there is no such room. */
export function readAfter(db: Db, roomId: string, afterSeq: number, limit: number): Promise<Slice | null> {
  return slice(db, roomId, { where: ['m.seq > ?', afterSeq], order: 'm.seq', limit });
}

/** A message with who sent it; undefined when the room has none of that id. */
export async function findMessage(
  db: Db,
  roomId: string,
  messageId: string,
): Promise<{ message: Message; sender_id: string } | undefined> {
  const [found] = await rows<Message & { sender_id: string }>(
    db,
    `select m.sender_id, ${MESSAGE} from city_room_messages m where m.id = ? and m.room_id = ?`,
    [messageId, roomId],
  );
  if (!found) return undefined;
  const { sender_id, ...message } = found;
  return { message, sender_id };
}

/** The messages of `ids`, by id; those that do not exist are missing. */
export async function findMessages(db: Db, ids: string[]): Promise<Map<string, Message>> {
  const found = await rows<Message>(db, `select ${MESSAGE} from city_room_messages m where m.id = any(?)`, [
    ids as never,
  ]);
  return new Map(found.map((message) => [message.id, message]));
}
