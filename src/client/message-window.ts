/** The part of a room's log that is in memory: its newest end, and as much of its past as the reader asked for. */
import type { Message } from '../contract/messages.ts';
import { asCityError } from './errors.ts';
import { merge } from './message-log.ts';
import type { Rest } from './rest.ts';
import type { Value } from './store.ts';
import type { RoomState } from './types.ts';

const PAGE = 50;
/** How far the list may outgrow what is kept: a little at its end, more for a reader of the past. */
const SLACK = { atEnd: 1.5, inPast: 5 };

interface WindowDeps {
  roomId: string;
  rest: Rest;
  state: Value<RoomState>;
  /** Messages kept while the reader follows the end. */
  kept: number;
  onLoaded: (messages: readonly Message[]) => void;
}

export function createMessageWindow({ roomId, rest, state, kept, onLoaded }: WindowDeps) {
  /** The `seq` that the list begins at. */
  let low = 1;
  let atEnd = true;
  /** Changes below `low` since a page of the past was asked for: it may have been read before them. */
  let passed: Message[] | null = null;

  function put(messages: readonly Message[]): void {
    passed?.push(...messages.filter(({ seq }) => seq < low));
    const now = state.getSnapshot();
    const list = merge(now.messages, messages, low);
    if (list.length <= kept * (atEnd ? SLACK.atEnd : SLACK.inPast)) return state.patch({ messages: list });
    const newest = list.slice(-kept);
    low = newest[0]!.seq;
    state.patch({ messages: newest, hasOlder: true });
  }

  return {
    put,
    /** Starts with the newest page of a room whose last message is `lastSeq`. */
    begin(messages: readonly Message[], lastSeq: number): void {
      low = messages[0]?.seq ?? lastSeq + 1;
      passed = null;
      state.patch({ messages: merge([], messages, low), hasOlder: low > 1 });
    },
    /** Takes in a newer state of a message that is in the list already. */
    update(message: Message): void {
      const { messages } = state.getSnapshot();
      if (messages.some(({ id }) => id === message.id)) {
        state.patch({ messages: merge(messages, [message], low) });
      }
    },
    follow(end: boolean): void {
      atEnd = end;
    },
    async loadOlder(): Promise<void> {
      const { room, hasOlder, loadingOlder } = state.getSnapshot();
      if (!room || !hasOlder || loadingOlder) return;
      const before = low;
      passed = [];
      state.patch({ loadingOlder: true, olderError: null });
      try {
        const page = await rest.listMessages({ room_id: roomId, before_seq: before, limit: PAGE });
        // The list may have been cut or begun anew meanwhile.
        if (before === low && passed) {
          onLoaded(page.messages);
          const older = merge(page.messages, passed, page.messages[0]?.seq ?? low);
          low = older[0]?.seq ?? low;
          const { messages } = state.getSnapshot();
          state.patch({ messages: [...older, ...messages], hasOlder: page.has_more && older.length > 0 });
        }
        state.patch({ loadingOlder: false });
      } catch (error) {
        state.patch({ loadingOlder: false, olderError: asCityError(error) });
      } finally {
        passed = null;
      }
    },
  };
}
