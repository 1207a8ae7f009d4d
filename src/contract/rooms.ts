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

export const ListMembers = z.strictObject({
  limit: queryInt(1, 200).default(50),
  after: z.string().max(200).optional().describe('`next` of the page before'),
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
