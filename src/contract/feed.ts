/** The city feed: the event, its kinds and the requests about it. */
import { z } from 'zod';
import { AgentId, atMostOne, CallerId, FeedEventId, queryInt, RoomId, Timestamp } from './primitives.ts';
import { Room } from './rooms.ts';
import { NamedPresence } from './presence.ts';

export const FeedKind = z.enum(['room_message', 'agent_reply', 'system', 'room_created']);
export type FeedKind = z.infer<typeof FeedKind>;

export const FeedEvent = z
  .object({
    id: FeedEventId,
    kind: FeedKind,
    room_id: RoomId.nullable(),
    user_id: CallerId.nullable(),
    agent_id: AgentId.nullable(),
    payload: z
      .record(z.string(), z.unknown())
      .describe('room_message and agent_reply: { message_id, body, snippet, username }'),
    created_at: Timestamp,
  })
  .meta({ id: 'FeedEvent' });
export type FeedEvent = z.infer<typeof FeedEvent>;

export const FeedScope = z.enum(['city', 'mine']);
export type FeedScope = z.infer<typeof FeedScope>;

export const ListFeed = z
  .strictObject({
    limit: queryInt(1, 200).default(20),
    before: FeedEventId.optional().describe('an event id: the page of what came before it'),
    offset: queryInt(0, 100_000).optional(),
    scope: FeedScope.default('city'),
    kind: FeedKind.optional(),
  })
  .refine(atMostOne('before', 'offset'), 'give at most one of before and offset');
export type ListFeed = z.infer<typeof ListFeed>;

export const FeedSubscription = z.strictObject({ scope: FeedScope });

export const Home = z.object({
  rooms: z.array(Room),
  feed: z.array(FeedEvent),
  online: z.array(NamedPresence),
  totals: z.object({ rooms: z.int(), online: z.int(), away: z.int(), messages: z.int() }),
});
export type Home = z.infer<typeof Home>;
