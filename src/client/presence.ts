/** Who is in the city: the view of this client, and the users and rooms that it keeps in view. */
import type { UserPresence } from '../contract/presence.ts';
import type { Connection } from './connection.ts';
import { createHeartbeat } from './heartbeat.ts';
import type { Names } from './names.ts';
import { createValue } from './store.ts';
import type { Presence, PresenceState, Store } from './types.ts';

/** How many may be named in one call. */
const AT_ONCE = { user_ids: 500, room_ids: 50 };
type Kind = keyof typeof AT_ONCE;

export type PresenceTracker = Presence & { close(): void };

interface PresenceDeps {
  connection: Connection;
  names: Names;
  awayAfterMs: number;
}

export function createPresence({ connection, names, awayAfterMs }: PresenceDeps): PresenceTracker {
  const state = createValue<PresenceState>({ mine: 'offline', users: {}, online: 0, away: 0 });
  /** What was seen since the connection began, until the snapshot of the whole has come; null after it. */
  let early: UserPresence[] | null = [];
  /** How many watch each user and room. */
  const watched: Record<Kind, Map<string, number>> = { user_ids: new Map(), room_ids: new Map() };

  function see(users: readonly UserPresence[], anew = false): void {
    if (early && !anew) early.push(...users);
    names.fromUsers(users);
    const next = anew ? {} : { ...state.getSnapshot().users };
    for (const user of users) {
      if (user.status === 'offline') delete next[user.user_id];
      else next[user.user_id] = user;
    }
    state.patch({ users: next });
  }

  const heartbeat = createHeartbeat({
    connection,
    awayAfterMs,
    onStatus: (mine) => state.patch({ mine }),
  });

  async function name(
    event: 'presence.subscribe' | 'presence.unsubscribe',
    kind: Kind,
    ids: readonly string[],
  ) {
    for (let at = 0; at < ids.length; at += AT_ONCE[kind]) {
      const { users } = await connection.ask(event, { [kind]: ids.slice(at, at + AT_ONCE[kind]) });
      if (event === 'presence.subscribe') see(users);
    }
  }
  /** Without an answer the city's view has to do until the next connection. */
  const tell = (event: 'presence.subscribe' | 'presence.unsubscribe', kind: Kind, ids: readonly string[]) =>
    void name(event, kind, ids).catch(() => {});

  /** Counts one watcher more or less for each id; those with which that begins or ends. */
  function count(kind: Kind, ids: readonly string[], step: 1 | -1): string[] {
    const turned: string[] = [];
    for (const id of new Set(ids)) {
      const left = (watched[kind].get(id) ?? 0) + step;
      if (left > 0) watched[kind].set(id, left);
      else watched[kind].delete(id);
      if (left === (step === 1 ? 1 : 0)) turned.push(id);
    }
    return turned;
  }

  const offs = [
    connection.onConnect('/presence', () => {
      early = [];
      heartbeat.beat();
      for (const kind of ['user_ids', 'room_ids'] as const) {
        tell('presence.subscribe', kind, [...watched[kind].keys()]);
      }
    }),
    connection.onDisconnect('/presence', () => state.patch({ mine: 'offline' })),
    connection.on('presence.bulk_update', ({ users }) => {
      const snapshot = early;
      early = null;
      see(snapshot ? [...users, ...snapshot] : users, snapshot !== null);
    }),
    connection.on('presence.update', (user) => see([user])),
    connection.on('presence.count', ({ online, away }) => state.patch({ online, away })),
  ];

  return {
    ...(state as Store<PresenceState>),
    active: heartbeat.active,
    watch(what) {
      let on = true;
      for (const kind of ['user_ids', 'room_ids'] as const) {
        tell('presence.subscribe', kind, count(kind, what[kind] ?? [], 1));
      }
      return () => {
        if (!on) return;
        on = false;
        for (const kind of ['user_ids', 'room_ids'] as const) {
          tell('presence.unsubscribe', kind, count(kind, what[kind] ?? [], -1));
        }
      };
    },
    close(): void {
      heartbeat.close();
      for (const off of offs) off();
    },
  };
}
