/** What moderators do to a user in a room. */
import type { Caller } from '../auth/caller.ts';
import type { Moderate, ModerationAct } from '../contract/moderation.ts';
import type { Db } from '../platform/db.ts';
import type { Subscriptions } from '../rooms/subscriptions.ts';
import { noSuchRoom } from '../rooms/rooms.service.ts';
import type { ModerationLog } from './moderation.log.ts';
import { dropRestriction, endMembership, lockRoom, putRestriction } from './moderation.repo.ts';

interface ModerationDeps {
  db: Db;
  moderationLog: ModerationLog;
  subscriptions: Subscriptions;
}

export type Moderation = ReturnType<typeof createModeration>;

const KINDS = { ban: 'ban', unban: 'ban', mute: 'mute', unmute: 'mute' } as const;

export function createModeration({ db, moderationLog, subscriptions }: ModerationDeps) {
  return {
    /**
     * Bans, mutes, kicks, or lifts a ban or a mute; again is harmless. Once it resolves nothing more of a banned or
     * muted user is committed in the room, and their sockets are out of it here, and on the other nodes as they hear
     * of it (removals.ts).
     * @throws AppError not_found
     */
    async act(
      caller: Caller,
      roomId: string,
      { action, user_id, reason, until: given }: Moderate,
      requestId: string,
    ): Promise<ModerationAct> {
      // Time zones and fractions that ISO 8601 allows and PostgreSQL does not know.
      const until = given == null ? null : new Date(given).toISOString();
      const act = await db.transaction(async (trx) => {
        if (!(await lockRoom(trx, roomId))) throw noSuchRoom();
        if (action !== 'kick') {
          const restriction = { room_id: roomId, user_id, kind: KINDS[action] };
          if (action === 'ban' || action === 'mute') {
            await putRestriction(trx, { ...restriction, until });
          } else {
            await dropRestriction(trx, restriction);
          }
        }
        if (action === 'ban' || action === 'kick') await endMembership(trx, roomId, user_id);
        return moderationLog.record(trx, {
          action,
          moderator_id: caller.id,
          room_id: roomId,
          user_id,
          reason: reason ?? null,
          until,
          request_id: requestId,
        });
      });
      if (action === 'ban' || action === 'kick') {
        const reasonOfClosing = action === 'ban' ? 'banned' : 'kicked';
        await subscriptions.close({ room_id: roomId, user_id, reason: reasonOfClosing });
      }
      return act;
    },
  };
}
