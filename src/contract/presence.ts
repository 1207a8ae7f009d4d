/** Presence: who is here, in which state, and the requests about it. */
import { z } from 'zod';
import { CallerId, RoomId, Timestamp } from './primitives.ts';

/** Seconds after which a silent connection no longer counts. */
export const PRESENCE_TTL_S = 40;
/** Seconds between two heartbeats of a client. */
export const HEARTBEAT_INTERVAL_S = 20;
/** Milliseconds without input after which a client is away. */
export const AWAY_AFTER_MS = 300_000;
/** Above this many users online, a connection sees counts and only those users and rooms that it names. */
export const CITY_VIEW_MAX = 1000;

export const PresenceStatus = z.enum(['online', 'away', 'offline']);
export type PresenceStatus = z.infer<typeof PresenceStatus>;

export const UserPresence = z
  .object({ user_id: CallerId, status: PresenceStatus, last_seen: Timestamp.nullable() })
  .meta({ id: 'UserPresence' });
export type UserPresence = z.infer<typeof UserPresence>;

/** As REST answers it; the events carry ids alone. */
export const NamedPresence = UserPresence.extend({ username: z.string() }).meta({ id: 'NamedPresence' });
export type NamedPresence = z.infer<typeof NamedPresence>;

export const PresenceCount = z.object({ online: z.int(), away: z.int() });
export type PresenceCount = z.infer<typeof PresenceCount>;

export const Heartbeat = z.strictObject({
  user_id: CallerId.optional().describe("must be the caller's own"),
  status: z.enum(['online', 'away']).optional(),
  idle_ms: z
    .int()
    .min(0)
    .optional()
    .describe(`milliseconds since the last input; ≥ ${AWAY_AFTER_MS} is away`),
});
export type Heartbeat = z.infer<typeof Heartbeat>;

export const PresenceSubscription = z.strictObject({
  user_ids: z.array(CallerId).max(500).optional(),
  room_ids: z.array(RoomId).max(50).optional(),
  city: z.boolean().optional(),
});
export type PresenceSubscription = z.infer<typeof PresenceSubscription>;

export const PresenceSnapshot = z.object({
  users: z.array(UserPresence),
  rooms: z.array(z.object({ room_id: RoomId, members_online: z.int() })),
});
export type PresenceSnapshot = z.infer<typeof PresenceSnapshot>;
