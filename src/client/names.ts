/** The display names that a client has come across, for events that carry ids only. */
import type { FeedEvent } from '../contract/feed.ts';
import type { Message } from '../contract/messages.ts';
import { createValue } from './store.ts';
import type { Me, Store } from './types.ts';

/** Past so many the directory starts again: names come back with what is shown. */
const NAMES_MAX = 20_000;

export type Names = ReturnType<typeof createNames>;

export function createNames(me: Store<Me | null>) {
  const known = createValue<Readonly<Record<string, string>>>({});

  function learn(pairs: Iterable<readonly [string | null | undefined, unknown]>): void {
    const fresh: Record<string, string> = {};
    let count = 0;
    const now = known.getSnapshot();
    for (const [id, name] of pairs) {
      if (!id || typeof name !== 'string' || name === '' || now[id] === name) continue;
      fresh[id] = name;
      count += 1;
    }
    if (count === 0) return;
    known.set((names) => (Object.keys(names).length > NAMES_MAX ? fresh : { ...names, ...fresh }));
  }

  return {
    store: known as Store<Readonly<Record<string, string>>>,
    learn,
    fromMessages: (messages: readonly Message[]) =>
      learn(messages.map((message) => [message.author_agent_id ?? message.author_user_id, message.username])),
    fromEvents: (events: readonly FeedEvent[]) =>
      learn(events.map((event) => [event.agent_id ?? event.user_id, event.payload['username']])),
    /** Of members and of those online, where the city names them. */
    fromUsers: (users: readonly { user_id: string; username?: string }[]) =>
      learn(users.map(({ user_id, username }) => [user_id, username])),
    of(id: string): string {
      const mine = me.getSnapshot();
      return known.getSnapshot()[id] ?? (mine?.user_id === id ? mine.username : `User-${id.slice(-4)}`);
    },
  };
}
