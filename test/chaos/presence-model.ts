/** Who is here in truth, what every observer believes, and where the first of them is wrong. */
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { HEARTBEAT_INTERVAL_S } from '../../src/contract/presence.ts';
import type { PresenceCount, PresenceStatus, UserPresence } from '../../src/contract/presence.ts';
import { createRest } from '../support/rest.ts';
import { until } from '../support/until.ts';

/** Whoever is not offline. */
export type Picture = ReadonlyMap<string, PresenceStatus>;

/** A client's connection, as its client knows it: to /presence, or with `room` an open room on /rooms. */
export interface Connection {
  readonly userId: string;
  readonly node: string;
  status: 'online' | 'away';
  readonly room: string | undefined;
}

/**
 * Milliseconds. A client that is back sooner was never gone: the grace of 2 s, less what connecting and a closing
 * node's haste take of it.
 */
const RELOAD_MS = 1_000;
/** What is told may be this old: the grace, the reaper's round and the window of announcements, with some air. */
const NEWS_MS = 3_500;

/**
 * A user's time with a live connection, monotonic milliseconds; `to` is Infinity while it lasts. An observer who is told
 * before `known` that the user is offline, and has not been told yet that they came, is told old news: a node has yet to
 * count who came, or to take its lease again.
 */
interface Stay {
  from: number;
  known: number;
  to: number;
}

export type PresenceModel = ReturnType<typeof createPresenceModel>;

/** The truth, kept by whoever opens, closes, kills and freezes. */
export function createPresenceModel() {
  const connections = new Set<Connection>();
  const lost = new Set<string>();
  const stays = new Map<string, Stay[]>();

  const living = (room?: string) =>
    [...connections].filter((each) => each.room === room && !lost.has(each.node));

  const expected = (): Map<string, PresenceStatus> => {
    const picture = new Map<string, PresenceStatus>();
    for (const { userId, status } of living()) {
      if (picture.get(userId) !== 'online') picture.set(userId, status);
    }
    return picture;
  };

  const note = () => {
    const now = performance.now();
    const here = expected();
    for (const [userId, past] of stays) {
      const last = past.at(-1)!;
      if (!here.has(userId) && last.to === Infinity) last.to = now;
    }
    for (const userId of here.keys()) {
      const past = stays.get(userId) ?? [];
      const last = past.at(-1);
      if (last && now - last.to < RELOAD_MS) last.to = Infinity;
      else if (last?.to !== Infinity) past.push({ from: now, known: now + NEWS_MS, to: Infinity });
      stays.set(userId, past);
    }
  };

  return {
    /** A connection to a node was made. */
    opened(
      userId: string,
      node: string,
      { status = 'online' as 'online' | 'away', room = undefined as string | undefined } = {},
    ): Connection {
      const connection: Connection = { userId, node, status, room };
      connections.add(connection);
      note();
      return connection;
    },
    /** It is gone, from either end. */
    closed(connection: Connection): void {
      connections.delete(connection);
      note();
    },
    /** Changes what a connection says of its user. */
    said(connection: Connection, status: 'online' | 'away'): void {
      connection.status = status;
    },
    /** The node is frozen or cut off: what it holds counts for nobody, however alive its clients think they are. */
    nodeLost(node: string): void {
      lost.add(node);
      note();
    },
    /** It is back: what it still holds counts again. */
    nodeBack(node: string): void {
      lost.delete(node);
      note();
    },

    /** Everybody who is not offline in truth. */
    expected,
    /** Everybody who has the room open in truth. */
    expectedIn: (room: string): Picture =>
      new Map(living(room).map(({ userId }) => [userId, 'online' as const])),

    /**
     * Whether the user was known at `at` to have a live connection, to somebody who was told so last at `toldAt`, and
     * lost none that news could still be of.
     */
    wasHere: (userId: string, at: number, toldAt = -Infinity): boolean => {
      const past = stays.get(userId) ?? [];
      return (
        past.some(({ from, known, to }) => (known <= at || from <= toldAt) && at <= to) &&
        past.every(({ to }) => to < at - NEWS_MS || to > at)
      );
    },
    /** Whether the user had none at `at`, nor shortly before. */
    wasGone: (userId: string, at: number): boolean =>
      (stays.get(userId) ?? []).every(({ from, to }) => to < at - NEWS_MS || from > at),
  };
}

/** Keeps the model in step with a client's connection. */
export function follow(
  model: PresenceModel,
  socket: Socket,
  userId: string,
  node: string,
  what: { status?: 'online' | 'away'; room?: string } = {},
): void {
  let connection = socket.connected ? model.opened(userId, node, what) : undefined;
  socket.on('connect', () => (connection ??= model.opened(userId, node, what)));
  socket.on('disconnect', () => {
    if (connection) model.closed(connection);
    connection = undefined;
  });
}

/** Something that believes to know who is here. */
export interface Witness {
  name: string;
  seen(): Picture;
}

/** Something that a client was told of a user, or that a new snapshot left out; `at` is monotonic milliseconds. */
export interface Told {
  userId: string;
  status: PresenceStatus;
  at: number;
}

export interface PresenceObserver extends Witness {
  /** In the order of telling; each user's present status of a snapshot counts as told when it differs. */
  told: readonly Told[];
  offlineTold(): Told[];
  count(): PresenceCount | undefined;
  socket: Socket;
  close(): void;
}

/** A plain client on /presence of the node at `url`: resolves with its first snapshot, and comes back when it is cut. */
export async function watchPresence(url: string, token: string, name = url): Promise<PresenceObserver> {
  const picture = new Map<string, PresenceStatus>();
  const told: Told[] = [];
  let count: PresenceCount | undefined;
  let fresh = true;
  const learn = ({ user_id, status }: Pick<UserPresence, 'user_id' | 'status'>) => {
    if ((picture.get(user_id) ?? 'offline') === status) return;
    told.push({ userId: user_id, status, at: performance.now() });
    if (status === 'offline') picture.delete(user_id);
    else picture.set(user_id, status);
  };

  const socket = io(`${url}/presence`, { auth: { token }, forceNew: true, transports: ['websocket'] });
  let refusal = 'none';
  socket.on('connect', () => (fresh = true));
  socket.on('connect_error', ({ message }) => (refusal = message));
  socket.on('presence.update', learn);
  socket.on('presence.bulk_update', ({ users }: { users: UserPresence[] }) => {
    if (fresh) {
      const named = new Set(users.map(({ user_id }) => user_id));
      for (const user_id of picture.keys()) if (!named.has(user_id)) learn({ user_id, status: 'offline' });
    }
    fresh = false;
    for (const user of users) learn(user);
  });
  socket.on('presence.count', (numbers: PresenceCount) => (count = numbers));
  const beat = setInterval(
    () => void (socket.connected && socket.emit('presence.heartbeat', {})),
    HEARTBEAT_INTERVAL_S * 1000,
  );
  const close = () => (clearInterval(beat), void socket.close());
  await until(() => socket.connected && !fresh, `${name} has its first snapshot`, 20_000).catch((error) => {
    const { connected } = socket;
    close();
    throw new Error(`${String(error)} (connected: ${connected}, last refusal: ${refusal})`);
  });
  return {
    name,
    seen: () => picture,
    told,
    offlineTold: () => told.filter(({ status }) => status === 'offline'),
    count: () => count,
    socket,
    close,
  };
}

/** Everybody whom `GET /city/presence` names. */
export async function readPresence(url: string, token: string): Promise<Witness> {
  const { status, body } = await createRest(url, token)('GET', '/city/presence');
  if (status !== 200) throw new Error(`GET /city/presence of ${url}: ${status} ${body.code}`);
  const picture = new Map((body.users as UserPresence[]).map(({ user_id, status }) => [user_id, status]));
  return { name: `GET /city/presence of ${url}`, seen: () => picture };
}

/** Everybody whom `GET /city/rooms/:id` names as having it open; throws when its count is another. */
export async function readRoom(url: string, token: string, roomId: string): Promise<Witness> {
  const { status, body } = await createRest(url, token)('GET', `/city/rooms/${roomId}`);
  if (status !== 200) throw new Error(`GET /city/rooms/${roomId} of ${url}: ${status} ${body.code}`);
  const picture = new Map((body.online_members as string[]).map((id) => [id, 'online' as const]));
  if (body.members_online !== picture.size) {
    throw new Error(`${url}, ${roomId}: members_online ${body.members_online}, but ${picture.size} named`);
  }
  return { name: `GET /city/rooms/${roomId} of ${url}`, seen: () => picture };
}

/** The first user, by id, of whom the first wrong witness believes something else; undefined when all are right. */
export function firstDifference(expected: Picture, witnesses: Iterable<Witness>): string | undefined {
  for (const { name, seen } of witnesses) {
    const picture = seen();
    for (const userId of [...new Set([...expected.keys(), ...picture.keys()])].sort()) {
      const [is, believed] = [expected.get(userId) ?? 'offline', picture.get(userId) ?? 'offline'];
      if (is !== believed) return `${name}: ${userId} is ${is}, seen ${believed}`;
    }
  }
  return undefined;
}

/** The first observer whose last presence.count is another than the truth. */
export function firstWrongCount(expected: Picture, observers: PresenceObserver[]): string | undefined {
  const online = [...expected.values()].filter((status) => status === 'online').length;
  const away = expected.size - online;
  for (const { name, count } of observers) {
    const told = count();
    if (told?.online !== online || told.away !== away) {
      return `${name}: presence.count is ${told?.online}/${told?.away}, should be ${online}/${away}`;
    }
  }
  return undefined;
}

/**
 * What no observer may be told: that somebody is offline who had a live connection all the time, or is here who had
 * none.
 */
export function falseNews(model: PresenceModel, observers: PresenceObserver[], since = 0): string[] {
  const isFalse = ({ userId, status, at }: Told, before: readonly Told[]) => {
    if (status !== 'offline') return model.wasGone(userId, at);
    const last = before.findLast((each) => each.userId === userId);
    return model.wasHere(userId, at, last?.at);
  };
  return observers.flatMap(({ name, told }) =>
    told
      .filter((each, n) => each.at >= since && isFalse(each, told.slice(0, n)))
      .map(({ userId, status, at }) => `${name}: ${userId} told ${status} at ${Math.round(at)} ms`),
  );
}
