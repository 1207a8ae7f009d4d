/** Message events: send, edit, delete, typing. */
import type { ROOMS_CLIENT_EVENTS } from '../contract/events.ts';
import { AppError } from '../platform/errors.ts';
import type { Gateway } from '../platform/gateway.ts';
import type { RoomsSocket } from '../platform/io.ts';
import type { Subscriptions } from '../rooms/subscriptions.ts';
import type { Messages } from './messages.service.ts';
import type { Typing } from './typing.ts';

interface MessageEventDeps {
  gateway: Gateway<RoomsSocket, typeof ROOMS_CLIENT_EVENTS>;
  messages: Messages;
  typing: Typing;
  subscriptions: Subscriptions;
}

export function attachMessages({ gateway, messages, typing, subscriptions }: MessageEventDeps): void {
  gateway.on('room.message.send', { limit: 'send' }, async ({ socket, caller, payload }) => {
    const { room_id, ...message } = payload;
    const sent = await messages.send(caller, room_id, message);
    typing.set(socket, room_id, false);
    return sent;
  });

  gateway.on('room.message.edit', { limit: 'send' }, async ({ caller, payload }) => ({
    message: await messages.edit(caller, payload.room_id, payload.message_id, payload.body),
  }));

  gateway.on('room.message.delete', { limit: 'send' }, async ({ caller, payload }) => ({
    message: await messages.remove(caller, payload.room_id, payload.message_id),
  }));

  gateway.on('room.typing', { limit: 'typing', dropOverLimit: true }, ({ socket, payload, isDropped }) => {
    if (isDropped) return;
    if (!subscriptions.has(socket, payload.room_id)) {
      throw new AppError('forbidden', 'Join the room before typing in it.');
    }
    typing.set(socket, payload.room_id, payload.typing);
  });
}
