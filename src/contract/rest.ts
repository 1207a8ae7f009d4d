/** Every REST call of the city: method, path, what it takes and what it answers. */
import { z } from 'zod';
import { DevToken, IssuedToken, LoggedOut } from './auth.ts';
import { FeedEvent, Home, ListFeed } from './feed.ts';
import { InspectedRooms, InspectRooms } from './inspect.ts';
import { MatrixPresence, MatrixPresenceSet } from './matrix.ts';
import { Erasing, PersonalExport } from './me.ts';
import { EditMessage, ListMessages, Message, MessagePage, SendMessage } from './messages.ts';
import {
  HandleReport,
  ListActs,
  ListReports,
  Moderate,
  ModerationAct,
  QueuedReport,
  Report,
  ReportMessage,
} from './moderation.ts';
import { NamedPresence } from './presence.ts';
import { CallerId, ClientId, InvocationId, MessageId, ReportId, RoomRef } from './primitives.ts';
import {
  CreateRoom,
  ListMembers,
  ListRooms,
  MarkRead,
  MembershipChange,
  ReadMark,
  Room,
  RoomDeleted,
  RoomMember,
  UpdateRoom,
} from './rooms.ts';
import {
  ChatMessage,
  Cleared,
  History,
  Invocation,
  InvocationAccepted,
  InvocationReply,
  Invoke,
  Profile,
} from './second-me.ts';

export interface RestCall {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  readonly path: string;
  readonly summary: string;
  /** False for the calls that need no token. */
  readonly auth: boolean;
  /** Whether the call is also served under /v1. */
  readonly versioned: boolean;
  readonly params: z.ZodType;
  readonly query: z.ZodType;
  readonly body: z.ZodType;
  readonly headers: readonly string[];
  readonly answers: Readonly<Record<number, z.ZodType>>;
}

const nothing = z.strictObject({});
const defaults = {
  auth: true,
  versioned: true,
  params: nothing,
  query: nothing,
  body: nothing,
  headers: [] as readonly string[],
};

/** A call with everything that it does not name at its default: token needed, versioned, nothing taken. */
function call<const T extends Partial<RestCall> & Pick<RestCall, 'method' | 'path' | 'summary' | 'answers'>>(
  given: T,
): Omit<typeof defaults, keyof T> & T {
  return { ...defaults, ...given };
}

const room = z.strictObject({ room_id: RoomRef });
const message = z.strictObject({ room_id: RoomRef, id: MessageId });
const invocation = z.strictObject({ id: InvocationId });
const report = z.strictObject({ id: ReportId });
const status = z.object({ status: z.string() }).loose();

/** The header that carries a key; its form is checked like `client_id`. */
export const IDEMPOTENCY_KEY = 'Idempotency-Key';
export const IdempotencyHeader = z.object({ [IDEMPOTENCY_KEY]: ClientId });

export const REST = {
  listRooms: call({
    method: 'get',
    path: '/city/rooms',
    summary: 'List the rooms, default rooms first, then by name.',
    query: ListRooms,
    answers: { 200: z.array(Room) },
  }),
  createRoom: call({
    method: 'post',
    path: '/city/rooms',
    summary: 'Create a room; the slug is derived from the name if absent.',
    body: CreateRoom,
    answers: { 201: Room },
  }),
  getRoom: call({
    method: 'get',
    path: '/city/rooms/:room_id',
    summary: 'A room with its last 50 messages and who has it open.',
    params: room,
    answers: {
      200: z.object({
        room: Room,
        messages: z.array(Message),
        members_online: z.int(),
        online_members: z.array(CallerId).max(200),
      }),
    },
  }),
  updateRoom: call({
    method: 'patch',
    path: '/city/rooms/:room_id',
    summary: 'Change a room; its creator or a moderator.',
    params: room,
    body: UpdateRoom,
    answers: { 200: Room },
  }),
  deleteRoom: call({
    method: 'delete',
    path: '/city/rooms/:room_id',
    summary: 'Delete a room with everything in it; an admin. 409 for a room of CITY_DEFAULT_ROOMS.',
    params: room,
    answers: { 200: RoomDeleted },
  }),
  moderate: call({
    method: 'post',
    path: '/city/rooms/:room_id/moderation',
    summary: 'Mute, unmute, ban, unban or kick a user in a room; a moderator.',
    params: room,
    body: Moderate,
    answers: { 200: ModerationAct },
  }),
  moderationLog: call({
    method: 'get',
    path: '/city/moderation/log',
    summary: 'What moderators did, newest first; for moderators.',
    query: ListActs,
    answers: { 200: z.array(ModerationAct) },
  }),
  report: call({
    method: 'post',
    path: '/city/reports',
    summary: 'Report a message to the moderators; 200 with the same report when repeated.',
    body: ReportMessage,
    answers: { 201: Report, 200: Report },
  }),
  listReports: call({
    method: 'get',
    path: '/city/reports',
    summary: 'Reported messages, newest first; for moderators.',
    query: ListReports,
    answers: { 200: z.array(QueuedReport) },
  }),
  handleReport: call({
    method: 'patch',
    path: '/city/reports/:id',
    summary: 'Close a report; a moderator.',
    params: report,
    body: HandleReport,
    answers: { 200: Report },
  }),
  listMessages: call({
    method: 'get',
    path: '/city/rooms/:room_id/messages',
    summary: 'A page of history by seq, or of changes after change number `since`; oldest first.',
    params: room,
    query: ListMessages,
    answers: { 200: MessagePage },
  }),
  sendMessage: call({
    method: 'post',
    path: '/city/rooms/:room_id/messages',
    summary: 'Send a message; 200 with its present state when repeated.',
    params: room,
    body: SendMessage,
    headers: [IDEMPOTENCY_KEY],
    answers: { 201: Message, 200: Message },
  }),
  editMessage: call({
    method: 'patch',
    path: '/city/rooms/:room_id/messages/:id',
    summary: 'Edit a message of your own.',
    params: message,
    body: EditMessage,
    answers: { 200: Message },
  }),
  deleteMessage: call({
    method: 'delete',
    path: '/city/rooms/:room_id/messages/:id',
    summary: 'Delete a message of your own, or any as a moderator; leaves a tombstone.',
    params: message,
    answers: { 200: Message },
  }),
  joinRoom: call({
    method: 'post',
    path: '/city/rooms/:room_id/join',
    summary: 'Become a member.',
    params: room,
    answers: { 200: MembershipChange },
  }),
  leaveRoom: call({
    method: 'post',
    path: '/city/rooms/:room_id/leave',
    summary: 'End your membership; your sockets leave the room on every node.',
    params: room,
    answers: { 200: MembershipChange },
  }),
  listMembers: call({
    method: 'get',
    path: '/city/rooms/:room_id/members',
    summary: 'The members, online first.',
    params: room,
    query: ListMembers,
    answers: { 200: z.object({ members: z.array(RoomMember), next: z.string().nullable() }) },
  }),
  markRead: call({
    method: 'put',
    path: '/city/rooms/:room_id/read',
    summary: 'Move your read mark forward.',
    params: room,
    body: MarkRead,
    answers: { 200: ReadMark },
  }),
  listFeed: call({
    method: 'get',
    path: '/city/feed',
    summary: 'What happened in the city, newest first.',
    query: ListFeed,
    answers: { 200: z.array(FeedEvent) },
  }),
  home: call({
    method: 'get',
    path: '/city/home',
    summary: "Everything on the city's front page.",
    answers: { 200: Home },
  }),
  listPresence: call({
    method: 'get',
    path: '/city/presence',
    summary: 'Who is online.',
    answers: { 200: z.object({ users: z.array(NamedPresence).max(500), online: z.int(), away: z.int() }) },
  }),
  getPresence: call({
    method: 'get',
    path: '/city/presence/:user_id',
    summary: 'The presence of one user.',
    params: z.strictObject({ user_id: CallerId }),
    answers: { 200: NamedPresence },
  }),
  invoke: call({
    method: 'post',
    path: '/secondme/invoke',
    summary: 'Ask your Second Me; 202 when the reply takes longer than 25 s or `Prefer: respond-async`.',
    body: Invoke,
    headers: [IDEMPOTENCY_KEY, 'Prefer'],
    answers: { 200: InvocationReply, 202: InvocationAccepted },
  }),
  getInvocation: call({
    method: 'get',
    path: '/secondme/invocations/:id',
    summary: 'Status and result of an invocation of yours.',
    params: invocation,
    answers: { 200: Invocation },
  }),
  cancelInvocation: call({
    method: 'delete',
    path: '/secondme/invocations/:id',
    summary: 'Cancel an invocation of yours.',
    params: invocation,
    answers: { 200: Invocation },
  }),
  history: call({
    method: 'get',
    path: '/secondme/history',
    summary: 'The last messages with your Second Me, oldest first.',
    query: History,
    answers: { 200: z.array(ChatMessage) },
  }),
  profile: call({
    method: 'get',
    path: '/secondme/profile',
    summary: 'Your Second Me.',
    answers: { 200: Profile },
  }),
  clearHistory: call({
    method: 'post',
    path: '/secondme/history/clear',
    summary: 'Forget the conversation with your Second Me.',
    answers: { 200: Cleared },
  }),
  setMatrixPresence: call({
    method: 'post',
    path: '/internal/matrix/presence/online',
    summary: 'Set your presence on the Matrix homeserver with your own token, and in the city with it.',
    body: MatrixPresence,
    answers: { 200: MatrixPresenceSet },
  }),
  logoutEverywhere: call({
    method: 'post',
    path: '/auth/logout-everywhere',
    summary:
      'Make every token void that you were issued so far and disconnect their sockets; the answer comes when new ones count.',
    answers: { 200: LoggedOut },
  }),
  exportMe: call({
    method: 'get',
    path: '/me/export',
    summary:
      'Everything that the city keeps about you, streamed. Read in pages, hence no single moment; one at a time.',
    answers: { 200: PersonalExport },
  }),
  eraseMe: call({
    method: 'delete',
    path: '/me',
    summary:
      'Erase everything about you. Your tokens are void and your sockets disconnected at once; until it is finished, within a minute, whoever signs in as you is answered `conflict`. The same answer when repeated.',
    answers: { 202: Erasing },
  }),
  inspectRooms: call({
    method: 'get',
    path: '/inspect/rooms',
    summary:
      'How far every node has delivered its busiest rooms, next to what is stored; an admin. Other nodes show from the second call on.',
    query: InspectRooms,
    answers: { 200: InspectedRooms },
  }),
  devToken: call({
    method: 'post',
    path: '/auth/dev-token',
    summary: 'Development only: a token for anybody.',
    auth: false,
    body: DevToken,
    answers: { 201: IssuedToken },
  }),
  live: call({
    method: 'get',
    path: '/health/live',
    summary: 'Whether the process is up.',
    auth: false,
    versioned: false,
    answers: { 200: status },
  }),
  ready: call({
    method: 'get',
    path: '/health/ready',
    summary: 'Whether the node may take traffic.',
    auth: false,
    versioned: false,
    answers: { 200: status, 503: status },
  }),
  openapi: call({
    method: 'get',
    path: '/openapi.json',
    summary: 'This description.',
    auth: false,
    versioned: false,
    answers: { 200: z.looseObject({}) },
  }),
  asyncapi: call({
    method: 'get',
    path: '/asyncapi.json',
    summary: 'The description of the Socket.IO events.',
    auth: false,
    versioned: false,
    answers: { 200: z.looseObject({}) },
  }),
} as const satisfies Record<string, RestCall>;

export type RestName = keyof typeof REST;
