/** Pages of a room's members, those who are present first. */
import { z } from 'zod';
import type { UserPresence } from '../contract/presence.ts';
import type { ListMembers, RoomMember } from '../contract/rooms.ts';
import type { Db } from '../platform/db.ts';
import { AppError, isTemporary } from '../platform/errors.ts';
import type { Presence } from '../presence/presence.service.ts';
import type { Users } from '../users/users.service.ts';
import { listMembers } from './rooms.repo.ts';

/** Where a page ended: within those present, or within the others, and after whom. */
const Cursor = z.tuple([z.boolean(), z.string()]);
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
    const present = [...presence.present().keys()];
    let [among, from] = after === undefined ? ([true, ''] as Cursor) : decode(after);
    const page: { user_id: string; joined_at: string; among: boolean }[] = [];
    for (;;) {
      const wanted = limit + 1 - page.length;
      const found = await listMembers(db, roomId, { present, among, after: from, limit: wanted });
      page.push(...found.map((member) => ({ ...member, among })));
      if (!among || page.length > limit) break;
      [among, from] = [false, ''];
    }
    const members = page.slice(0, limit);
    const last = members.at(-1);
    const ids = members.map(({ user_id }) => user_id);
    const [names, statuses] = await Promise.all([users.namesOf(ids), statusesOf(ids)]);
    return {
      members: members.map(({ user_id, joined_at }) => {
        const { status, last_seen } = statuses.get(user_id) ?? UNKNOWN;
        return { user_id, username: names.get(user_id)!, status, last_seen, joined_at };
      }),
      next: page.length > limit && last ? encode([last.among, last.user_id]) : null,
    };
  };
}
