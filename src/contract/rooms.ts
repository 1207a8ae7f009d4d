/** Rooms: the entity, the requests about it and its membership. */
import { z } from 'zod';
import { CallerId, queryInt, RoomId, Seq, Slug, text, Timestamp, visibleText } from './primitives.ts';
import { PresenceStatus } from './presence.ts';

export const Room = z
  .object({
    id: RoomId,
    slug: Slug,
    name: z.string(),
    description: z.string().nullable(),
    is_default: z.boolean(),
    created_at: Timestamp,
    created_by: z.string().nullable(),
    members_online: z.int().describe('users, not connections, that have the room open'),
    last_event: Timestamp.nullable().describe('time of the newest message'),
    last_seq: Seq,
    last_change_seq: Seq,
    joined: z.boolean().describe('whether the caller is a member'),
    unread: Seq.describe("last_seq minus the caller's last_read_seq"),
    slow_mode_s: z.int().describe('the least time between two messages of one user, seconds; 0: none'),
  })
  .meta({ id: 'Room' });
export type Room = z.infer<typeof Room>;

export const RoomMember = z
  .object({
    user_id: CallerId,
    username: z.string(),
    status: PresenceStatus,
    last_seen: Timestamp.nullable(),
    joined_at: Timestamp,
  })
  .meta({ id: 'RoomMember' });
export type RoomMember = z.infer<typeof RoomMember>;

export const ListRooms = z.strictObject({
  limit: queryInt(1, 500).default(100),
  offset: queryInt(0, 1_000_000).default(0),
});

export const CreateRoom = z.strictObject({
  name: visibleText(80),
  slug: Slug.optional(),
  description: text(500).nullable().optional(),
});
export type CreateRoom = z.infer<typeof CreateRoom>;

export const SLOW_MODE_MAX_S = 3_600;

export const UpdateRoom = z
  .strictObject({
    name: visibleText(80).optional(),
    description: text(500).nullable().optional(),
    slow_mode_s: z.int().min(0).max(SLOW_MODE_MAX_S).optional(),
  })
  .refine((change) => Object.values(change).some((value) => value !== undefined), 'give at least one field');
export type UpdateRoom = z.infer<typeof UpdateRoom>;

export const RoomDeleted = z.object({ room_id: RoomId, deleted: z.literal(true) });

export const ListMembers = z.strictObject({
  limit: queryInt(1, 200).default(50),
  after: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,200}$/)
    .optional()
    .describe('`next` of the page before'),
});
export type ListMembers = z.infer<typeof ListMembers>;

export const MembershipChange = z.object({
  room_id: RoomId,
  user_id: CallerId,
  joined: z.boolean(),
  members_online: z.int(),
});

export const MarkRead = z.strictObject({ seq: Seq });
export const ReadMark = z.object({ room_id: RoomId, last_read_seq: Seq, unread: Seq });
export type ReadMark = z.infer<typeof ReadMark>;
