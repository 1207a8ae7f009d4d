/** What the city keeps about its caller: all of it, and the end of it. */
import { z } from 'zod';
import { FeedEvent } from './feed.ts';
import { Message } from './messages.ts';
import { ModerationAct, Report } from './moderation.ts';
import { UserPresence } from './presence.ts';
import { CallerId, InvocationId, RoomId, Seq, Timestamp } from './primitives.ts';
import { Role } from './auth.ts';
import { ChatMessage, Invocation } from './second-me.ts';

export const Erasing = z.object({ status: z.literal('erasing'), requested_at: Timestamp });
export type Erasing = z.infer<typeof Erasing>;

/** Tombstones are among the messages; what a moderator wrote about the caller and the moderator's id are not the caller's. */
export const PersonalExport = z
  .object({
    user_id: CallerId,
    exported_at: Timestamp.describe('when it began; what changes meanwhile may be in it or not'),
    profile: z.array(
      z.object({
        name: z.string().nullable(),
        roles: z.array(Role),
        created_at: Timestamp,
        updated_at: Timestamp,
        tokens_not_before: Timestamp.nullable(),
      }),
    ),
    presence: z.array(UserPresence),
    rooms_created: z.array(
      z.object({
        id: RoomId,
        name: z.string(),
        description: z.string().nullable(),
        created_at: Timestamp,
      }),
    ),
    memberships: z.array(z.object({ room_id: RoomId, joined_at: Timestamp })),
    read_marks: z.array(z.object({ room_id: RoomId, last_read_seq: Seq })),
    messages: z.array(Message),
    feed_events: z.array(FeedEvent),
    reports: z.array(Report.omit({ handled_by: true, note: true })),
    restrictions: z.array(
      z.object({ room_id: RoomId, kind: z.enum(['ban', 'mute']), until: Timestamp.nullable() }),
    ),
    moderated: z
      .array(ModerationAct.omit({ moderator_id: true, request_id: true, report_id: true }))
      .describe('what moderators did to the caller'),
    moderation: z.array(ModerationAct).describe('what the caller did as a moderator'),
    second_me_sessions: z.array(z.object({ id: z.string(), created_at: Timestamp })),
    second_me_messages: z.array(ChatMessage.extend({ invocation_id: InvocationId })),
    second_me_invocations: z.array(
      Invocation.extend({
        prompt: z.string(),
        idempotency_key: z.string().nullable(),
        finished_at: Timestamp.nullable(),
      }),
    ),
  })
  .meta({ id: 'PersonalExport' });
