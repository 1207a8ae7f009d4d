/** Who is in the city now, from /presence. */
import { askPresence } from '../sockets.ts';
import { createStore } from '../store.ts';
import type { PresenceCount, UserPresence } from '../types.ts';

interface Presence extends PresenceCount {
  readonly users: Readonly<Record<string, UserPresence>>;
  readonly mine: 'online' | 'away' | 'offline';
}

export const presenceStore = createStore<Presence>({ users: {}, online: 0, away: 0, mine: 'offline' });

/** Takes in statuses; `anew` when they are the whole picture, as after connecting. */
export function seeUsers(users: readonly UserPresence[], anew = false): void {
  presenceStore.set((state) => {
    const next = anew ? {} : { ...state.users };
    for (const user of users) {
      if (user.status === 'offline') delete next[user.user_id];
      else next[user.user_id] = user;
    }
    return { ...state, users: next };
  });
}

export function seeCount({ online, away }: PresenceCount): void {
  presenceStore.set((state) => ({ ...state, online, away }));
}

export function setMine(mine: Presence['mine']): void {
  presenceStore.set((state) => (state.mine === mine ? state : { ...state, mine }));
}

/** Keeps the users of one room in view, which matters in a city of more than a thousand online. */
export function watchRoom(roomId: string, watch: boolean): void {
  const event = watch ? 'presence.subscribe' : 'presence.unsubscribe';
  askPresence(event, { room_ids: [roomId] })
    .then(({ users }) => watch && seeUsers(users))
    .catch(() => undefined);
}
