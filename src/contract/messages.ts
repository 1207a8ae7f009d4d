/** Room messages: the entity and the requests about it. */
import { z } from 'zod';
import {
  AgentId,
  atMostOne,
  CallerId,
  ClientId,
  MessageId,
  queryInt,
  RoomId,
  Seq,
  Timestamp,
  visibleText,
} from './primitives.ts';

export const Message = z
  .object({
    id: MessageId,
    room_id: RoomId,
    seq: Seq.describe('number of the message in its room'),
    change_seq: Seq.describe("number of the message's latest change in its room"),
    author_user_id: CallerId.nullable(),
    author_agent_id: AgentId.nullable(),
    username: z.string(),
    body: z.string().describe('empty once deleted'),
    client_id: ClientId.nullable(),
    created_at: Timestamp,
    edited_at: Timestamp.nullable(),
    deleted_at: Timestamp.nullable(),
  })
  .meta({ id: 'Message' });
export type Message = z.infer<typeof Message>;

export const Body = visibleText(10_000);

export const SendMessage = z.strictObject({
  body: Body,
  client_id: ClientId.optional(),
  agent_id: AgentId.optional().describe('services only: the agent that writes'),
});
export type SendMessage = z.infer<typeof SendMessage>;

export const EditMessage = z.strictObject({ body: Body });

const CURSORS = ['before_seq', 'after_seq', 'since'] as const;
const cursor = queryInt(0, Number.MAX_SAFE_INTEGER).optional();

export const ListMessages = z
  .strictObject({
    before_seq: cursor,
    after_seq: cursor,
    since: cursor.describe('a change number'),
    limit: queryInt(1, 200).default(50),
  })
  .refine(atMostOne(...CURSORS), 'give at most one of before_seq, after_seq and since');
export type ListMessages = z.infer<typeof ListMessages>;

export const MessagePage = z.object({ messages: z.array(Message), has_more: z.boolean() });
export type MessagePage = z.infer<typeof MessagePage>;
