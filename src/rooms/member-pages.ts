/** Pages of a room's members: those online, then those away, then the others. */
import { z } from 'zod';
import { CallerId } from '../contract/primitives.ts';
import type { UserPresence } from '../contract/presence.ts';
import type { ListMembers, RoomMember } from '../contract/rooms.ts';
import type { Db } from '../platform/db.ts';
import { AppError, isTemporary } from '../platform/errors.ts';
import type { Presence } from '../presence/presence.service.ts';
import type { Users } from '../users/users.service.ts';
import { listMembers } from './rooms.repo.ts';

const TIERS = ['online', 'away', 'offline'] as const;

/** Where a page ended: within which tier, and after whom. */
const Cursor = z.tuple([
  z
    .int()
    .min(0)
    .max(TIERS.length - 1),
  CallerId,
]);
type Cursor = z.infer<typeof Cursor>;

const UNKNOWN = { status: 'offline', last_seen: null } as const;

function decode(cursor: string): Cursor {
  try {
    return Cursor.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch {
    const errors = [{ path: 'after', message: 'must be the `next` of a page before' }];
    throw new AppError('invalid', 'The query is not valid.', { errors });
  }
}

const encode = (cursor: Cursor) => Buffer.from(JSON.stringify(cursor)).toString('base64url');

/** `(roomId, query)` → one page and the cursor of the next, null after the last. Does not check that the room exists. */
export function createMemberPages({ db, users, presence }: { db: Db; users: Users; presence: Presence }) {
  /** As Redis says; without it, as this node knows. */
  const statusesOf = (ids: string[]): Promise<ReadonlyMap<string, UserPresence>> =>
    presence.statuses(ids).catch((error: unknown) => {
      if (!isTemporary(error)) throw error;
      return presence.present();
    });

  return async (
    roomId: string,
    { limit, after }: ListMembers,
  ): Promise<{ members: RoomMember[]; next: string | null }> => {
    const here = [...presence.present().values()];
    const present = here.map(({ user_id }) => user_id);
    let [tier, from] = after === undefined ? ([0, ''] as Cursor) : decode(after);
    const page: { user_id: string; joined_at: string; tier: number }[] = [];
    for (; tier < TIERS.length && page.length <= limit; tier++, from = '') {
      const others = TIERS[tier] === 'offline';
      const ids = others
        ? present
        : here.filter(({ status }) => status === TIERS[tier]).map(({ user_id }) => user_id);
      const wanted = { ids, among: !others, after: from, limit: limit + 1 - page.length };
      page.push(...(await listMembers(db, roomId, wanted)).map((member) => ({ ...member, tier })));
    }
    const members = page.slice(0, limit);
    const last = members.at(-1);
    const ids = members.map(({ user_id }) => user_id);
    const [names, statuses] = await Promise.all([users.namesOf(ids), statusesOf(ids)]);
    const described = members.map(({ user_id, joined_at }) => {
      const { status, last_seen } = statuses.get(user_id) ?? UNKNOWN;
      return { user_id, username: names.get(user_id)!, status, last_seen, joined_at };
    });
    return {
      // Redis may be a moment ahead of what this node knows: the order follows what the page says.
      members: described.sort((a, b) => TIERS.indexOf(a.status) - TIERS.indexOf(b.status)),
      next: page.length > limit && last ? encode([last.tier, last.user_id]) : null,
    };
  };
}
