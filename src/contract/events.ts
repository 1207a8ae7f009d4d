/** Every Socket.IO event of the city, by namespace: what a client may send, what it is answered, what it receives. */
import { z } from 'zod';
import { RefreshToken, TokenExpiry } from './auth.ts';
import { FeedEvent, FeedSubscription } from './feed.ts';
import { Body, Message } from './messages.ts';
import {
  Heartbeat,
  PRESENCE_TTL_S,
  HEARTBEAT_INTERVAL_S,
  PresenceCount,
  PresenceSnapshot,
  PresenceStatus,
  PresenceSubscription,
  UserPresence,
} from './presence.ts';
import {
  CallerId,
  ClientId,
  FeedEventId,
  InvocationId,
  MessageId,
  RoomId,
  RoomRef,
  Seq,
} from './primitives.ts';
import { Room } from './rooms.ts';
import { InvocationAccepted, InvocationStatus, SocketInvoke } from './second-me.ts';

const Nothing = z.object({});

const tokenRefresh = {
  'auth.refresh': {
    summary: 'Replace the token of the whole connection by a newer one of the same user.',
    payload: RefreshToken,
    data: TokenExpiry,
  },
};

const connectionNotices = {
  'auth.expiring': { summary: 'The token expires in 60 s.', payload: TokenExpiry },
  'server.draining': {
    summary: 'This node is going away; the transport closes next and the client reconnects by itself.',
    payload: z.object({ reconnect_within_ms: z.int() }),
  },
};

const RoomMessage = z.object({ room_id: RoomId, message: Message });
const RoomNotice = z.object({
  room_id: RoomId,
  user_id: CallerId,
  username: z.string(),
  members_online: z.int(),
});

export const ROOMS_CLIENT_EVENTS = {
  'room.join': {
    summary: 'Subscribe to a room and become a member; with `since`, catch up on every later change.',
    payload: z.strictObject({ room_id: RoomRef, since: Seq.optional() }),
    data: z.object({
      room: Room,
      messages: z.array(Message),
      has_more: z.boolean(),
      members_online: z.int(),
    }),
  },
  'room.leave': {
    summary: "End this socket's subscription; membership stays.",
    payload: z.strictObject({ room_id: RoomRef }),
    data: Nothing,
  },
  'room.message.send': {
    summary: 'Send a message; ok means committed.',
    payload: z.strictObject({ room_id: RoomRef, body: Body, client_id: ClientId.optional() }),
    data: z.object({ message: Message, duplicate: z.boolean() }),
  },
  'room.message.edit': {
    summary: 'Edit a message of your own.',
    payload: z.strictObject({ room_id: RoomRef, message_id: MessageId, body: Body }),
    data: z.object({ message: Message }),
  },
  'room.message.delete': {
    summary: 'Delete a message of your own, or any as a moderator.',
    payload: z.strictObject({ room_id: RoomRef, message_id: MessageId }),
    data: z.object({ message: Message }),
  },
  'room.typing': {
    summary: 'Say that you are typing; expires after 6 s.',
    payload: z.strictObject({ room_id: RoomRef, typing: z.boolean() }),
    data: Nothing,
  },
  'room.read': {
    summary: 'Move your read mark forward.',
    payload: z.strictObject({ room_id: RoomRef, seq: Seq }),
    data: z.object({ last_read_seq: Seq, unread: Seq }),
  },
  'feed.subscribe': {
    summary: 'Receive feed events as they happen.',
    payload: FeedSubscription,
    data: Nothing,
  },
  'feed.unsubscribe': { summary: 'Stop receiving feed events.', payload: FeedSubscription, data: Nothing },
  'secondme.invoke': {
    summary: 'Ask your Second Me; the reply arrives as events.',
    payload: SocketInvoke,
    data: InvocationAccepted,
  },
  'secondme.cancel': {
    summary: 'Cancel an invocation.',
    payload: z.strictObject({ invocation_id: InvocationId }),
    data: InvocationAccepted,
  },
  ...tokenRefresh,
} as const;

export const ROOMS_SERVER_EVENTS = {
  'room.message': { summary: 'A message was sent.', payload: RoomMessage },
  'room.message.updated': { summary: 'A message was edited.', payload: RoomMessage },
  'room.message.deleted': { summary: 'A message was deleted.', payload: RoomMessage },
  'room.join': { summary: "A user's first connection opened the room.", payload: RoomNotice },
  'room.leave': { summary: "A user's last connection closed the room.", payload: RoomNotice },
  'room.presence': {
    summary: 'The status of a user in the room, or only the count in rooms over 200 online.',
    payload: z.object({
      room_id: RoomId,
      user_id: CallerId.optional(),
      status: PresenceStatus.optional(),
      members_online: z.int(),
    }),
  },
  'room.typing': {
    summary: 'Who is typing now.',
    payload: z.object({ room_id: RoomId, user_ids: z.array(CallerId) }),
  },
  'room.closed': {
    summary: 'This socket is no longer subscribed to the room.',
    payload: z.object({ room_id: RoomId, reason: z.enum(['left', 'banned', 'kicked', 'deleted']) }),
  },
  'feed.events': {
    summary: 'What happened in the city, oldest first.',
    payload: z.object({ events: z.array(FeedEvent) }),
  },
  'feed.removed': {
    summary: 'Events that disappeared from the feed.',
    payload: z.object({ ids: z.array(FeedEventId) }),
  },
  'secondme.status': {
    summary: 'An invocation changed its status.',
    payload: z.object({ invocation_id: InvocationId, status: InvocationStatus }),
  },
  'secondme.delta': {
    summary: 'The next piece of a growing reply; index 0 starts it anew.',
    payload: z.object({ invocation_id: InvocationId, index: z.int(), text: z.string() }),
  },
  'secondme.reply': {
    summary: 'An invocation is finished.',
    payload: z.object({
      invocation_id: InvocationId,
      status: InvocationStatus,
      reply: z.string().nullable(),
      tokens_used: z.int().nullable(),
      latency_ms: z.int().nullable(),
      fallback: z.boolean(),
    }),
  },
  ...connectionNotices,
} as const;

export const PRESENCE_CLIENT_EVENTS = {
  'presence.heartbeat': {
    summary: `Keep this connection counted; every ${HEARTBEAT_INTERVAL_S} s.`,
    payload: Heartbeat,
    data: z.object({
      status: z.enum(['online', 'away']),
      ttl_s: z.literal(PRESENCE_TTL_S),
      interval_s: z.literal(HEARTBEAT_INTERVAL_S),
    }),
  },
  'presence.offline': {
    summary: 'The page is closing: stop counting this connection.',
    payload: z.strictObject({}),
    data: Nothing,
  },
  'presence.subscribe': {
    summary: 'Add users, rooms or the whole city to the view.',
    payload: PresenceSubscription,
    data: PresenceSnapshot,
  },
  'presence.unsubscribe': {
    summary: 'Take users, rooms or the whole city out of the view.',
    payload: PresenceSubscription,
    data: PresenceSnapshot,
  },
  ...tokenRefresh,
} as const;

export const PRESENCE_SERVER_EVENTS = {
  'presence.update': { summary: 'A user changed status.', payload: UserPresence },
  'presence.bulk_update': {
    summary: 'The snapshot after connecting, and bursts of changes.',
    payload: z.object({ users: z.array(UserPresence) }),
  },
  'presence.count': {
    summary: 'How many users are here, at most once a second; up to five seconds late in a large city.',
    payload: PresenceCount,
  },
  ...connectionNotices,
} as const;

export const NAMESPACES = {
  '/rooms': { client: ROOMS_CLIENT_EVENTS, server: ROOMS_SERVER_EVENTS },
  '/presence': { client: PRESENCE_CLIENT_EVENTS, server: PRESENCE_SERVER_EVENTS },
} as const;

type ServerEvents<T extends Record<string, { payload: z.ZodType }>> = {
  [Name in keyof T]: (payload: z.input<T[Name]['payload']>) => void;
};
export type RoomsServerEvents = ServerEvents<typeof ROOMS_SERVER_EVENTS>;
export type PresenceServerEvents = ServerEvents<typeof PRESENCE_SERVER_EVENTS>;

/** A client event as the tables above describe it. */
export interface ClientEvent {
  readonly summary: string;
  readonly payload: z.ZodType;
  readonly data: z.ZodType;
}
export type ClientEvents = Record<string, ClientEvent>;
