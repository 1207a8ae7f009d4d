/** Moderation: acts on users in a room, reports of messages, and the log of everything that moderators did. */
import { z } from 'zod';
import { Message } from './messages.ts';
import {
  CallerId,
  MessageId,
  ModerationId,
  queryInt,
  ReportId,
  RoomId,
  RoomRef,
  text,
  Timestamp,
  visibleText,
} from './primitives.ts';

const REASON_MAX = 500;
/** Of what ISO 8601 writes with four digits of a year. */
const LAST_MOMENT = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

export const ModerationAction = z.enum(['mute', 'unmute', 'ban', 'unban', 'kick']);
export type ModerationAction = z.infer<typeof ModerationAction>;

/** Only a ban and a mute last; `until` ends them by itself. */
export const Moderate = z
  .strictObject({
    action: ModerationAction,
    user_id: CallerId,
    reason: text(REASON_MAX).optional(),
    until: z.iso
      .datetime({ offset: true })
      // What is no time at all has been said to be none.
      .refine((value) => !(new Date(value).getTime() <= Date.now()), 'must lie in the future')
      .refine((value) => !(new Date(value).getTime() > LAST_MOMENT), 'must lie before the year 10000')
      .nullable()
      .optional(),
  })
  .refine(({ action, until }) => until == null || action === 'ban' || action === 'mute', {
    path: ['until'],
    message: 'only a ban or a mute can end by itself',
  });
export type Moderate = z.infer<typeof Moderate>;

/** An entry of the log. */
export const ModerationAct = z
  .object({
    id: ModerationId,
    action: z.enum([
      ...ModerationAction.options,
      'update_room',
      'delete_room',
      'delete_message',
      'resolve_report',
      'dismiss_report',
    ]),
    moderator_id: CallerId,
    room_id: RoomId.nullable(),
    user_id: CallerId.nullable().describe('whom it was done to'),
    message_id: MessageId.nullable(),
    report_id: ReportId.nullable(),
    reason: z.string().nullable(),
    until: Timestamp.nullable(),
    request_id: z.string().nullable().describe('the X-Request-Id of the call; null over Socket.IO'),
    created_at: Timestamp,
  })
  .meta({ id: 'ModerationAct' });
export type ModerationAct = z.infer<typeof ModerationAct>;

export const ListActs = z.strictObject({
  limit: queryInt(1, 200).default(50),
  before: ModerationId.optional().describe('an entry: the page of what came before it'),
  room_id: RoomRef.optional(),
});
export type ListActs = z.infer<typeof ListActs>;

export const ReportStatus = z.enum(['open', 'resolved', 'dismissed']);
export type ReportStatus = z.infer<typeof ReportStatus>;

export const Report = z
  .object({
    id: ReportId,
    room_id: RoomId,
    message_id: MessageId,
    reporter_id: CallerId,
    reason: z.string(),
    status: ReportStatus,
    note: z.string().nullable(),
    handled_by: CallerId.nullable(),
    handled_at: Timestamp.nullable(),
    created_at: Timestamp,
  })
  .meta({ id: 'Report' });
export type Report = z.infer<typeof Report>;

/** A report as moderators see it, with the message in its present state. */
export const QueuedReport = Report.extend({ message: Message }).meta({ id: 'QueuedReport' });
export type QueuedReport = z.infer<typeof QueuedReport>;

export const ReportMessage = z.strictObject({
  room_id: RoomRef,
  message_id: MessageId,
  reason: visibleText(REASON_MAX),
});
export type ReportMessage = z.infer<typeof ReportMessage>;

export const ListReports = z.strictObject({
  status: ReportStatus.optional(),
  limit: queryInt(1, 200).default(50),
  before: ReportId.optional().describe('a report: the page of what came before it'),
});
export type ListReports = z.infer<typeof ListReports>;

export const HandleReport = z.strictObject({
  status: z.enum(['resolved', 'dismissed']),
  note: text(REASON_MAX).optional(),
});
export type HandleReport = z.infer<typeof HandleReport>;
