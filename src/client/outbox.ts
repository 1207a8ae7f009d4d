/** The messages of one room on their way: in order, one at a time, each repeated under its key until the city has it. */
import type { Message } from '../contract/messages.ts';
import type { Connection } from './connection.ts';
import { asCityError } from './errors.ts';
import { createKey } from './keys.ts';
import type { Outgoing } from './types.ts';
import { waitFor } from './wait.ts';

const PAUSE_MS = 2_000;

interface OutboxDeps {
  roomId: string;
  connection: Connection;
  /** Hears what is on its way after every change. */
  onChange: (outgoing: readonly Outgoing[]) => void;
  /** Takes in a message that the city has; false when it will be shown later, by its event. */
  onSent: (message: Message) => boolean;
}

export function createOutbox({ roomId, connection, onChange, onSent }: OutboxDeps) {
  let items: readonly Outgoing[] = [];
  /** Stored, but not shown yet. */
  const acked = new Set<string>();
  const closing = new AbortController();
  let pumping = false;

  const become = (next: readonly Outgoing[]) => {
    items = next;
    onChange(items);
  };
  const change = (clientId: string, part: Partial<Outgoing>) =>
    become(items.map((item) => (item.client_id === clientId ? { ...item, ...part } : item)));

  function drop(clientId: string): void {
    acked.delete(clientId);
    if (items.some((item) => item.client_id === clientId)) {
      become(items.filter((item) => item.client_id !== clientId));
    }
  }

  async function deliver({ client_id, body }: Outgoing): Promise<void> {
    try {
      const { message } = await connection.ask('room.message.send', { room_id: roomId, body, client_id });
      acked.add(client_id);
      if (onSent(message)) drop(client_id);
    } catch (cause) {
      const error = asCityError(cause);
      if (!error.retryable) return change(client_id, { state: 'failed', error });
      if (error.code !== 'offline') await waitFor(error.retryAfterMs ?? PAUSE_MS, closing.signal);
    }
  }

  /** Sends what waits, oldest first. */
  async function pump(): Promise<void> {
    if (pumping) return;
    pumping = true;
    for (;;) {
      const next = items.find(({ state, client_id }) => state === 'sending' && !acked.has(client_id));
      if (!next || !connection.isLive() || closing.signal.aborted) break;
      await deliver(next);
    }
    pumping = false;
  }
  const stop = connection.onConnect('/rooms', () => void pump());

  return {
    send(body: string): string {
      const client_id = createKey();
      become([...items, { client_id, room_id: roomId, body, state: 'sending', error: null }]);
      void pump();
      return client_id;
    },
    retry(clientId: string): void {
      if (!items.some(({ client_id, state }) => client_id === clientId && state === 'failed')) return;
      change(clientId, { state: 'sending', error: null });
      void pump();
    },
    discard(clientId: string): void {
      if (items.some(({ client_id, state }) => client_id === clientId && state === 'failed')) drop(clientId);
    },
    /** Messages of the room have been shown. */
    seen(messages: readonly Message[]): void {
      if (items.length > 0) for (const { client_id } of messages) if (client_id !== null) drop(client_id);
    },
    /** Nobody shows the room any more: what is stored need not be waited for. */
    forgetSent(): void {
      for (const clientId of [...acked]) drop(clientId);
    },
    isEmpty: () => items.length === 0,
    close(): void {
      stop();
      closing.abort();
    },
  };
}
