/** Asks the policy table about a call or an event, with the relations that it depends on looked up. */
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { Users } from '../users/users.service.ts';
import type { Caller } from './caller.ts';
import { authorise, CALLS, relationsAsked } from './policy.ts';
import type { CallName, Relation } from './policy.ts';
import { findStanding } from './relations.repo.ts';

/** What a call names, in the contract's words; `id` is a message's where there is a room beside it. */
interface Named {
  room_id?: string;
  room_ids?: string[];
  message_id?: string;
  id?: string;
  user_id?: string;
}

/**
 * Passes when `caller` may make the call `name` with the validated `input` (path parameters and body in one).
 * @throws AppError forbidden; not_found when it depends on a room or a message that does not exist
 */
export type Authorise = (caller: Caller, name: string, input: object) => Promise<void>;

export function createAuthorise({ db, users }: { db: Db; users: Users }): Authorise {
  const toRooms = async (caller: Caller, named: Named, asked: Relation[]): Promise<Relation[]> => {
    const roomIds = named.room_id === undefined ? (named.room_ids ?? []) : [named.room_id];
    if (roomIds.length === 0) return [];
    const messageId = named.message_id ?? named.id ?? null;
    const standing = await findStanding(db, caller.id, { roomIds, messageId });
    if (asked.includes('author') && standing.author === null) {
      throw new AppError('not_found', 'There is no such message.');
    }
    if (asked.includes('creator') && standing.creator === null) {
      throw new AppError('not_found', 'There is no such room.');
    }
    return (['author', 'creator', 'banned', 'muted'] as const).filter((relation) => standing[relation]);
  };

  const toUser = async (caller: Caller, { user_id }: Named): Promise<Relation[]> => {
    if (user_id === undefined) return [];
    const roles = await users.rolesOf(user_id);
    return [
      ...(user_id === caller.id ? (['self'] as const) : []),
      ...(roles.includes('moderator') || roles.includes('admin') ? (['peer'] as const) : []),
    ];
  };

  return async (caller, name, input) => {
    if (!Object.hasOwn(CALLS, name)) throw new AppError('forbidden', 'Nobody may do this.');
    const action = CALLS[name as CallName];
    const asked = relationsAsked(action);
    const relations: Relation[] = [];
    if (asked.some((relation) => relation !== 'self' && relation !== 'peer')) {
      relations.push(...(await toRooms(caller, input, asked)));
    }
    if (asked.includes('self') || asked.includes('peer')) relations.push(...(await toUser(caller, input)));
    authorise(caller, action, relations);
  };
}
