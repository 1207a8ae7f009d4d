/** Sending, editing, deleting and reading messages. */
import type { Caller } from '../auth/caller.ts';
import { authorise, may } from '../auth/policy.ts';
import type { Action } from '../auth/policy.ts';
import { CallerId } from '../contract/primitives.ts';
import type { ListMessages, Message, MessagePage, SendMessage } from '../contract/messages.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import { findMessage, readAfter, readBefore, readChanges } from '../room-log/log.repo.ts';
import type { Appended, Outcome } from '../room-log/log.repo.ts';
import type { ModerationLog } from '../moderation/moderation.log.ts';
import type { Filters } from '../moderation/filters.ts';
import type { RoomLog } from '../room-log/room-log.ts';
import type { Users } from '../users/users.service.ts';

interface MessagesDeps {
  db: Db;
  roomLog: RoomLog;
  users: Users;
  newId: NewId;
  filters: Filters;
  moderationLog: ModerationLog;
}

export type Messages = ReturnType<typeof createMessages>;

const REFUSALS: Partial<Record<Outcome, () => AppError>> = {
  no_room: () => new AppError('not_found', 'There is no such room.'),
  no_message: () => new AppError('not_found', 'There is no such message.'),
  gone: () => new AppError('conflict', 'The message is deleted.'),
  mismatch: () => new AppError('idempotency_mismatch', 'This client_id was first sent with another body.'),
};

/** The message, or the refusal. What the commit found the caller to be since the edge asked is for the policy to judge. */
function accepted(
  caller: Caller,
  action: Action,
  { outcome, message, retry_after_ms }: Omit<Appended, 'ord'>,
): Message {
  const refusal = REFUSALS[outcome];
  if (refusal) throw refusal();
  if (outcome === 'banned' || outcome === 'muted') authorise(caller, action, ['author', outcome]);
  if (outcome === 'slowed') {
    const retryAfterMs = retry_after_ms ?? 1_000;
    throw new AppError('rate_limited', 'This room is in slow mode; wait before you write again.', {
      retryAfterMs,
    });
  }
  return message;
}

export function createMessages({ db, roomLog, users, newId, filters, moderationLog }: MessagesDeps) {
  const find = async (roomId: string, messageId: string) => {
    const found = await findMessage(db, roomId, messageId);
    if (!found) throw REFUSALS.no_message!();
    return found;
  };

  return {
    /**
     * Stores a message; resolves once it is committed. A repeated `client_id` of the same author answers the message
     * that it made first, in its present state.
     * @throws AppError not_found, forbidden, invalid, idempotency_mismatch, rate_limited in slow mode, unavailable
     */
    async send(
      caller: Caller,
      roomId: string,
      { body, client_id, agent_id }: SendMessage,
    ): Promise<{ message: Message; duplicate: boolean }> {
      if (agent_id !== undefined) authorise(caller, 'message.send_as_agent');
      filters.check({ body });
      const appended = await roomLog.append({
        creation: {
          id: newId('m_city'),
          room_id: roomId,
          sender_id: caller.id,
          author_user_id: agent_id === undefined ? caller.id : null,
          author_agent_id: agent_id ?? null,
          username: await users.nameOf(caller),
          body,
          client_id: client_id ?? null,
          unslowed: may(caller, 'message.ignore_slow_mode'),
        },
      });
      return {
        message: accepted(caller, 'message.send', appended),
        duplicate: appended.outcome === 'repeated',
      };
    },

    /** @throws AppError not_found, invalid, conflict when it is deleted, forbidden if restricted meanwhile, unavailable */
    async edit(caller: Caller, roomId: string, messageId: string, body: string): Promise<Message> {
      filters.check({ body });
      const change = { kind: 'edit', room_id: roomId, message_id: messageId, body, by: caller.id } as const;
      return accepted(caller, 'message.edit', await roomLog.append({ change }));
    },

    /**
     * Leaves a tombstone; deleting again changes nothing. What a moderator takes from somebody else goes into the
     * moderators' log first.
     * @throws AppError not_found, forbidden if banned meanwhile, unavailable
     */
    async remove(
      caller: Caller,
      roomId: string,
      messageId: string,
      requestId: string | null = null,
    ): Promise<Message> {
      const { message, sender_id } = await find(roomId, messageId);
      if (sender_id !== caller.id && message.deleted_at === null) {
        const act = { action: 'delete_message', room_id: roomId, message_id: messageId } as const;
        // An agent without a service behind it is nobody whose name the log could hold.
        const user_id = CallerId.safeParse(sender_id).success ? sender_id : null;
        await moderationLog.record(db, { ...act, moderator_id: caller.id, user_id, request_id: requestId });
      }
      const change = {
        kind: 'delete',
        room_id: roomId,
        message_id: messageId,
        body: '',
        by: caller.id,
      } as const;
      return accepted(caller, 'message.delete', await roomLog.append({ change }));
    },

    /** A page of history or of changes, oldest first. @throws AppError not_found */
    async list(roomId: string, { before_seq, after_seq, since, limit }: ListMessages): Promise<MessagePage> {
      const newestFirst = after_seq === undefined && since === undefined;
      const slice = await (since !== undefined
        ? readChanges(db, roomId, since, limit + 1)
        : after_seq !== undefined
          ? readAfter(db, roomId, after_seq, limit + 1)
          : readBefore(db, roomId, before_seq ?? Number.MAX_SAFE_INTEGER, limit + 1));
      if (!slice) throw REFUSALS.no_room!();
      const messages = slice.messages.slice(0, limit);
      if (newestFirst) messages.reverse();
      return { messages, has_more: slice.messages.length > limit };
    },
  };
}
