/** Sending, editing, deleting and reading messages. */
import type { Caller } from '../auth/caller.ts';
import { authorise } from '../auth/policy.ts';
import type { ListMessages, Message, MessagePage, SendMessage } from '../contract/messages.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import { findMessage, readAfter, readBefore, readChanges } from '../room-log/log.repo.ts';
import type { Appended, Outcome } from '../room-log/log.repo.ts';
import type { RoomLog } from '../room-log/room-log.ts';
import type { Users } from '../users/users.service.ts';

interface MessagesDeps {
  db: Db;
  roomLog: RoomLog;
  users: Users;
  newId: NewId;
}

export type Messages = ReturnType<typeof createMessages>;

const REFUSALS: Partial<Record<Outcome, () => AppError>> = {
  no_room: () => new AppError('not_found', 'There is no such room.'),
  no_message: () => new AppError('not_found', 'There is no such message.'),
  gone: () => new AppError('conflict', 'The message is deleted.'),
  mismatch: () => new AppError('idempotency_mismatch', 'This client_id was first sent with another body.'),
};

function accepted({ outcome, message }: Omit<Appended, 'ord'>): Message {
  const refusal = REFUSALS[outcome];
  if (refusal) throw refusal();
  return message;
}

export function createMessages({ db, roomLog, users, newId }: MessagesDeps) {
  const find = async (roomId: string, messageId: string) => {
    const found = await findMessage(db, roomId, messageId);
    if (!found) throw REFUSALS.no_message!();
    return found;
  };

  return {
    /**
     * Stores a message; resolves once it is committed. A repeated `client_id` of the same author answers the message
     * that it made first, in its present state.
     * @throws AppError not_found, forbidden, idempotency_mismatch, unavailable
     */
    async send(
      caller: Caller,
      roomId: string,
      { body, client_id, agent_id }: SendMessage,
    ): Promise<{ message: Message; duplicate: boolean }> {
      if (agent_id !== undefined) authorise(caller, 'message.send_as_agent');
      const appended = await roomLog.append({
        creation: {
          id: newId('m_city'),
          event_id: newId('evt_city'),
          room_id: roomId,
          sender_id: caller.id,
          author_user_id: agent_id === undefined ? caller.id : null,
          author_agent_id: agent_id ?? null,
          username: await users.nameOf(caller),
          body,
          client_id: client_id ?? null,
        },
      });
      return { message: accepted(appended), duplicate: appended.outcome === 'repeated' };
    },

    /** @throws AppError not_found, forbidden, conflict when it is deleted, unavailable */
    async edit(caller: Caller, roomId: string, messageId: string, body: string): Promise<Message> {
      const { sender_id } = await find(roomId, messageId);
      authorise(caller, 'message.edit', sender_id);
      const change = { kind: 'edit', room_id: roomId, message_id: messageId, body } as const;
      return accepted(await roomLog.append({ change }));
    },

    /** Leaves a tombstone; deleting again changes nothing. @throws AppError not_found, forbidden, unavailable */
    async remove(caller: Caller, roomId: string, messageId: string): Promise<Message> {
      const { sender_id } = await find(roomId, messageId);
      authorise(caller, 'message.delete', sender_id);
      const change = { kind: 'delete', room_id: roomId, message_id: messageId, body: '' } as const;
      return accepted(await roomLog.append({ change }));
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
