/** Messages on their way: sent one after another, repeated with the same key until the city has them. */
import { asCityError } from '../errors.ts';
import { askRooms, isLive } from '../sockets.ts';
import { createStore } from '../store.ts';
import { randomKey } from '../text.ts';
import type { Message } from '../types.ts';
import { showMessage } from './room.ts';

export interface Outgoing {
  readonly clientId: string;
  readonly roomId: string;
  readonly body: string;
  /** The error code it was refused with, or null while it is under way. */
  readonly refused: string | null;
}

export const outbox = createStore<readonly Outgoing[]>([]);

const drop = (clientId: string) =>
  outbox.set((items) =>
    items.some((item) => item.clientId === clientId)
      ? items.filter((item) => item.clientId !== clientId)
      : items,
  );

const refuse = (clientId: string, refused: string | null) =>
  outbox.set((items) => items.map((item) => (item.clientId === clientId ? { ...item, refused } : item)));

let pumping = false;

/** Sends what waits, oldest first; called on every new message and every connection. */
export async function pumpOutbox(): Promise<void> {
  if (pumping) return;
  pumping = true;
  try {
    for (;;) {
      const next = outbox.get().find((item) => item.refused === null);
      if (!next || !isLive()) return;
      try {
        const { message } = await askRooms('room.message.send', {
          room_id: next.roomId,
          body: next.body,
          client_id: next.clientId,
        });
        showMessage(message);
        drop(next.clientId);
      } catch (error) {
        const { code, retryable, retryAfterMs } = asCityError(error);
        if (!retryable) refuse(next.clientId, code);
        else if (code !== 'offline') await new Promise((wake) => setTimeout(wake, retryAfterMs ?? 2_000));
      }
    }
  } finally {
    pumping = false;
  }
}

export function send(roomId: string, body: string): void {
  outbox.set((items) => [...items, { clientId: randomKey(), roomId, body, refused: null }]);
  void pumpOutbox();
}

export function sendAgain(clientId: string): void {
  refuse(clientId, null);
  void pumpOutbox();
}

export const discard = drop;

/** Our own message has come back live, perhaps ahead of its acknowledgement. */
export function onDelivered(message: Message): void {
  if (message.client_id) drop(message.client_id);
}

export const resetOutbox = (): void => outbox.set(() => []);
