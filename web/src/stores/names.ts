/** Display names learned from messages, notices and member lists; presence itself carries ids only. */
import { currentSession } from '../session.ts';
import { createStore } from '../store.ts';

export const names = createStore<Readonly<Record<string, string>>>({});

export function learnNames(pairs: Iterable<readonly [string | null | undefined, unknown]>): void {
  names.set((known) => {
    let next = known;
    for (const [id, name] of pairs) {
      if (!id || typeof name !== 'string' || !name || known[id] === name) continue;
      next = { ...next, [id]: name };
    }
    return next;
  });
}

export function nameOf(known: Readonly<Record<string, string>>, id: string): string {
  const session = currentSession();
  return known[id] ?? (session?.userId === id ? session.name : `User-${id.slice(-4)}`);
}
