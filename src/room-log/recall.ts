/**
 * What was read of a room's changes a moment ago, kept complete by what is delivered since: when everybody comes back
 * at once, the history of a room is read once and not for each of them.
 *
 * Kept for seconds only: retention empties old messages without a change number.
 */
import type { Message } from '../contract/messages.ts';
import type { Head, Slice } from './log.repo.ts';

const KEPT_MS = 10_000;
const MESSAGES_MAX = 2_000;

/** The part of a room's cursor that this needs: each list in `joins` gets what is delivered from now on. */
interface Cursor {
  readonly delivered: number;
  readonly deliveredSeq: number;
  readonly joins: Set<{ message: Message }[]>;
}

interface Kept {
  readonly cursor: Cursor;
  /** All that is in force of the changes after `from`, by message; read up to `head`, and delivered after that. */
  readonly from: number;
  readonly head: Head;
  readonly messages: Map<string, Message>;
  readonly delivered: { message: Message }[];
  readonly forget: () => void;
}

export type Recall = ReturnType<typeof createRecall>;

export function createRecall(cursors: ReadonlyMap<string, Cursor>) {
  const kept = new Map<string, Kept>();

  const current = (roomId: string): Kept | undefined => {
    const found = kept.get(roomId);
    if (!found) return undefined;
    for (const { message } of found.delivered.splice(0)) found.messages.set(message.id, message);
    if (found.cursor === cursors.get(roomId) && found.messages.size <= MESSAGES_MAX) return found;
    found.forget();
    return undefined;
  };

  return {
    /** Whether the changes after `since` may be known; `recall` says whether they are. */
    covers(roomId: string, since: number): boolean {
      return (current(roomId)?.from ?? Infinity) <= since;
    },

    /** The changes after `since`, by change number; undefined when not all of them up to `head` are known. */
    recall(roomId: string, since: number, head: number): Slice | undefined {
      const found = current(roomId);
      if (!found || found.from > since || found.cursor.delivered < Math.max(head, found.head.last_change_seq))
        return undefined;
      const messages = [...found.messages.values()]
        .filter(({ change_seq }) => change_seq > since)
        .sort((a, b) => a.change_seq - b.change_seq);
      const { delivered, deliveredSeq } = found.cursor;
      return { head: { ...found.head, last_seq: deliveredSeq, last_change_seq: delivered }, messages };
    },

    /** Takes in what was read: all the changes after `since`. */
    keep(roomId: string, since: number, { head, messages }: Slice): void {
      const cursor = cursors.get(roomId);
      // What was delivered between the read and now would be missing.
      if (!cursor || cursor.delivered > head.last_change_seq) return;
      const earlier = current(roomId);
      if (earlier && earlier.from <= since) return;
      earlier?.forget();
      const delivered: Kept['delivered'] = [];
      cursor.joins.add(delivered);
      const forget = () => {
        clearTimeout(timer);
        cursor.joins.delete(delivered);
        kept.delete(roomId);
      };
      const timer = setTimeout(forget, KEPT_MS).unref();
      const byId = new Map(messages.map((message) => [message.id, message]));
      kept.set(roomId, { cursor, from: since, head, messages: byId, delivered, forget });
    },
  };
}
