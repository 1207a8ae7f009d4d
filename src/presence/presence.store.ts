/** Who is here, as Redis knows it: leases of connections, and the numbered log of transitions that follow from them. */
import type { PresenceStatus, UserPresence } from '../contract/presence.ts';
import type { RawNews, RawTransition, ScriptCalls } from './scripts.ts';

/** A user's change of status; `version` numbers the transitions of an epoch without gaps. */
export interface Transition {
  version: number;
  presence: UserPresence;
  /** The rooms that the user had open then. */
  rooms: string[];
  /** The rooms that somebody offline had left a moment before; an older node does not tell. */
  left?: string[];
}

/** How a user stands, with the rooms that they have open and, offline, have just left. */
export interface Standing {
  presence: UserPresence;
  rooms: string[];
  left: string[];
}

/** Transitions of one epoch; a new epoch begins when Redis was emptied. */
export interface News {
  epoch: string;
  transitions: Transition[];
}

/** A user who came into a room with their first connection, or left it with their last. */
export interface Move {
  kind: 'join' | 'leave';
  room_id: string;
  user_id: string;
  members_online: number;
  /** When, by the clock of Redis, microseconds; null when Redis was away and only this node knows. */
  at: number | null;
}

export interface Snapshot {
  epoch: string;
  version: number;
  /** Redis was away a moment ago: who is missing may still be registered again. */
  calm: boolean;
  /** Everybody who is not offline. */
  users: UserPresence[];
  online: number;
  away: number;
}

export interface ConnectionLease {
  userId: string;
  connection: string;
  status: 'online' | 'away';
  /** Milliseconds left. */
  remainingMs: number;
}

export const BATCH = 200;
const time = (ms: number | string) => new Date(Number(ms)).toISOString();

const toTransition = ([version, user_id, status, seen, rooms, left]: RawTransition): Transition => ({
  version,
  presence: { user_id, status, last_seen: time(seen) },
  rooms,
  left,
});
const toNews = ([epoch, transitions]: RawNews): News => ({
  epoch,
  transitions: transitions.map(toTransition),
});

const args = (leases: ConnectionLease[]) =>
  leases.flatMap(({ userId, connection, status, remainingMs }) => [userId, connection, status, remainingMs]);

/**
 * Renews the leases of a batch of connections whose clients were heard; `run` is '' for leases that belong to no
 * node. One call; `due`, here and below, is NodeLease's.
 */
export async function touch(
  scripts: ScriptCalls,
  due: number,
  run: string,
  leases: ConnectionLease[],
): Promise<News> {
  return toNews(await scripts.cityTouch(due, run, ...args(leases)));
}

/** Registers a batch of what a node holds once more. */
export async function register(
  scripts: ScriptCalls,
  due: number,
  run: string,
  leases: ConnectionLease[],
): Promise<News> {
  return toNews(await scripts.cityRegister(due, run, ...args(leases)));
}

/** Cuts the lease of a closed connection to the grace; the reaper ends it. */
export async function close(
  scripts: ScriptCalls,
  due: number,
  userId: string,
  connection: string,
  graceMs: number,
): Promise<News> {
  return toNews(await scripts.cityClose(due, userId, connection, graceMs));
}

/** Ends a connection's lease at once. */
export async function drop(
  scripts: ScriptCalls,
  due: number,
  userId: string,
  connection: string,
): Promise<News> {
  return toNews(await scripts.cityDrop(due, userId, connection));
}

/**
 * Ends a batch of lapsed leases and of what dead nodes held; each end is handed to exactly one caller. Nothing is
 * ended for a caller whose own lease is not `held`, nor within `calmMs` after Redis was away.
 */
export async function reap(scripts: ScriptCalls, run: string, calmMs: number) {
  const [epoch, transitions, departures, held, more, dueInMs] = await scripts.cityReap(run, BATCH, calmMs);
  return {
    news: toNews([epoch, transitions]),
    departures: departures.map(([room_id, user_id, members_online, at]): Move => ({
      kind: 'leave',
      room_id,
      user_id,
      members_online,
      at,
    })),
    held: held === 1,
    more: more === 1,
    /** When the next lease lapses, unless it is renewed; 0 while nothing may be ended. */
    dueInMs,
  };
}

function* scored(status: PresenceStatus, flat: string[]): Generator<UserPresence> {
  for (let i = 0; i < flat.length; i += 2) {
    yield { user_id: flat[i]!, status, last_seen: time(flat[i + 1]!) };
  }
}

/** Everybody who is not offline, those online first, each by who was seen last; at most `limit` when given. */
export async function snapshot(scripts: ScriptCalls, limit?: number): Promise<Snapshot> {
  const last = limit === undefined ? -1 : limit - 1;
  const [epoch, version, calm, online, away, onlineCount, awayCount] = await scripts.citySnapshot(last);
  const users = [...scored('online', online), ...scored('away', away)];
  return {
    epoch,
    version,
    calm: calm === 1,
    users: limit === undefined ? users : users.slice(0, limit),
    online: onlineCount,
    away: awayCount,
  };
}

/** Where the log stands. */
export async function position(redis: {
  hmget(key: string, ...fields: string[]): Promise<(string | null)[]>;
}): Promise<{ epoch: string; version: number }> {
  const [epoch, version] = await redis.hmget('city:presence:log', 'epoch', 'version');
  return { epoch: epoch ?? '', version: Number(version ?? 0) };
}

/**
 * Presence of `userIds`, in their order, with the rooms that they have open and, offline, have just left; offline and
 * null for somebody unknown.
 */
export async function statuses(scripts: ScriptCalls, userIds: string[]): Promise<Standing[]> {
  const found: Standing[] = [];
  for (let from = 0; from < userIds.length; from += BATCH) {
    const batch = userIds.slice(from, from + BATCH);
    for (const [i, [status, seen, rooms, left]] of (await scripts.cityStatuses(...batch)).entries()) {
      const last_seen = seen === null ? null : time(seen);
      found.push({ presence: { user_id: batch[i]!, status, last_seen }, rooms, left });
    }
  }
  return found;
}
