/** The names of those who are only seen online: presence carries ids, the city is asked for the names of new ones. */
import type { Names } from './names.ts';
import type { Rest } from './rest.ts';
import { whileWatched } from './store.ts';
import type { Presence, Store } from './types.ts';

/** Milliseconds between a change of presence and the question, so that one question does for several. */
const PAUSE_MS = 300;
/** So many are asked for one by one; for more, the whole list is read once. */
const FEW = 5;

interface DirectoryDeps {
  names: Names;
  presence: Presence;
  rest: Rest;
}

/** The store of all known names; new ones are asked for while somebody is subscribed to it. */
export function createDirectory({ names, presence, rest }: DirectoryDeps) {
  const asked = new Set<string>();

  async function ask(): Promise<void> {
    const known: Readonly<Record<string, string>> = names.store.getSnapshot();
    const here = Object.keys(presence.getSnapshot().users);
    const unknown = here.filter((id) => known[id] === undefined && !asked.has(id));
    if (unknown.length === 0) return;
    for (const id of unknown) asked.add(id);
    try {
      if (unknown.length > FEW) names.fromUsers((await rest.listPresence()).users);
      else names.fromUsers(await Promise.all(unknown.map((user_id) => rest.getPresence({ user_id }))));
    } catch {
      // They are asked for again with the next change of presence.
      for (const id of unknown) asked.delete(id);
    }
  }

  return whileWatched(names.store as Store<Readonly<Record<string, string>>>, () => {
    let timer: ReturnType<typeof setTimeout> | null = null;
    const look = () => {
      timer ??= setTimeout(() => {
        timer = null;
        void ask();
      }, PAUSE_MS);
    };
    const off = presence.subscribe(look);
    look();
    return () => {
      off();
      if (timer !== null) clearTimeout(timer);
    };
  });
}
