/** The read mark of one room: moved forward at once here, and in the city as soon as it can be. */
import type { Connection } from './connection.ts';
import { asCityError } from './errors.ts';
import { waitFor } from './wait.ts';

const PAUSE_MS = 2_000;

interface ReadMarkDeps {
  roomId: string;
  connection: Connection;
  onChange: () => void;
}

export function createReadMark({ roomId, connection, onChange }: ReadMarkDeps) {
  const closing = new AbortController();
  let mark = 0;
  /** What the city knows. */
  let told = 0;
  let telling = false;

  async function tell(): Promise<void> {
    if (telling) return;
    telling = true;
    while (told < mark && connection.isLive() && !closing.signal.aborted) {
      const seq = mark;
      try {
        await connection.ask('room.read', { room_id: roomId, seq });
        told = Math.max(told, seq);
      } catch (cause) {
        const { code, retryable, retryAfterMs } = asCityError(cause);
        if (!retryable) break; // no member any more: there is nothing to mark
        if (code !== 'offline') await waitFor(retryAfterMs ?? PAUSE_MS, closing.signal);
      }
    }
    telling = false;
  }

  const move = (seq: number) => {
    if (seq <= mark) return;
    mark = seq;
    onChange();
  };
  return {
    seq: () => mark,
    /** The city has it at `seq`: by its own answer, or since a message of ours was stored. */
    known(seq: number): void {
      told = Math.max(told, seq);
      move(seq);
      void tell();
    },
    set(seq: number): void {
      move(seq);
      void tell();
    },
    close: () => closing.abort(),
  };
}
