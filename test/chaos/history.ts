/** What the city stored, read over REST once everything has come to rest. */
import type { Message, MessagePage } from '../../src/contract/messages.ts';
import type { Room } from '../../src/contract/rooms.ts';
import type { createRest } from '../support/rest.ts';
import { until } from '../support/until.ts';
import type { StoredRoom } from './invariants.ts';

export type Rest = ReturnType<typeof createRest>;

const SETTLE_MS = 30_000;

/** The body of a GET; asked again while it is refused: everything is healed, so that it has to come. */
export async function read<T>(rest: Rest, path: string): Promise<T> {
  const answer = await until(
    async () => {
      const found = await rest('GET', path).catch(() => undefined);
      return found?.status === 200 ? found : undefined;
    },
    `GET ${path}`,
    SETTLE_MS,
  );
  return answer.body as T;
}

/** A room with its whole log, out of one state of it. */
export async function readRoom(rest: Rest, id: string): Promise<StoredRoom> {
  // What an unanswered request still brings must be in before the history is read.
  for (;;) {
    const { room } = await read<{ room: Room }>(rest, `/city/rooms/${id}`);
    const messages: Message[] = [];
    for (let since = 0, more = true; more;) {
      const page = await read<MessagePage>(rest, `/city/rooms/${id}/messages?since=${since}&limit=200`);
      messages.push(...page.messages);
      since = messages.at(-1)?.change_seq ?? 0;
      more = page.has_more;
    }
    const again = await read<{ room: Room }>(rest, `/city/rooms/${id}`);
    if (again.room.last_change_seq !== room.last_change_seq) continue;
    return { id, last_seq: room.last_seq, last_change_seq: room.last_change_seq, messages };
  }
}
