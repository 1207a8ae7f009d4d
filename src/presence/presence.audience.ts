/**
 * Who is told what: changes in windows of 250 ms, counts at most once a second, snapshots for those who come. Past
 * 2,000 connections a node tells counts less often, since in a large city they change every second.
 *
 * A socket is in the city's audience, or in those of the users and rooms that it named. All of the city gets one
 * packet a window; sockets that name people, and those that were shown something newer than the rest within the
 * window, get what concerns them. So each socket is told of each change once.
 */
import type { PresenceCount, PresenceStatus, UserPresence } from '../contract/presence.ts';
import type { PresenceNamespace, PresenceSocket } from '../platform/io.ts';
import type { Change, View } from './presence.view.ts';

const CITY = 'presence:city';
export const userAudience = (userId: string) => `presence:of:${userId}`;
export const roomAudience = (roomId: string) => `presence:in:${roomId}`;

/** Milliseconds. */
const WINDOW_MS = 250;
const COUNT_MS = 1_000;
/** The longest that everybody waits for new numbers, however many they are. */
const COUNT_LATEST_MS = 5_000;
/** Those who come together share one snapshot. */
const WELCOME_MS = 20;
const SHOWN_MS = 2_000;
/** Frames of numbers that a node sends: what all of them would take at once a second is spread over more. */
const COUNTS_PER_S = 2_000;
/** How long the city stays too large for the view of everybody once it was, so that it does not flap. */
const LARGE_MS = 5_000;

/** What a socket was shown ahead of an announcement: user to status. */
interface Shown {
  statuses: Map<string, PresenceStatus>;
  until: number;
}

export type Audience = ReturnType<typeof createAudience>;

export function createAudience(namespace: PresenceNamespace, view: View, cityViewMax: number) {
  const { local } = namespace;
  const recent = new Map<string, Shown>();
  /** Asked last not to see the city: what was under way to put them in its audience must not do so. */
  const unwilling = new WeakSet<PresenceSocket>();
  let arriving: PresenceSocket[] = [];
  let uncounted: string[] = [];
  let large = false;
  let largeAt = 0;
  /** While the city is too large: those whom it may have been shown before, as they stand, to tell of who has gone. */
  const pictured = new Map<string, UserPresence>();
  let counted: PresenceCount = { online: 0, away: 0 };
  let countedAt = -Infinity;
  /** When anybody was told the numbers last; `countedAt`: everybody. */
  let toldAt = -Infinity;
  const timers: Partial<Record<'flush' | 'count' | 'welcome', NodeJS.Timeout>> = {};
  let stopped = false;

  const later = (name: keyof typeof timers, ms: number, run: () => void) => {
    if (stopped) return;
    timers[name] ??= setTimeout(() => {
      delete timers[name];
      run();
    }, ms);
  };

  const tell = (sockets: string | string[], users: UserPresence[], except: string[] = []) => {
    if (users.length === 0) return;
    const target = local.to(sockets).except(except);
    if (users.length === 1) target.emit('presence.update', users[0]!);
    else target.emit('presence.bulk_update', { users });
  };

  const inAudience = (channel: string): Iterable<string> => namespace.adapter.rooms.get(channel) ?? [];
  const seesCity = (id: string) => !large && (namespace.adapter.rooms.get(CITY)?.has(id) ?? false);

  /** Tells every socket apart that is not served by the packet to the city. */
  const tellSingly = (changes: Change[], now: number) => {
    const boxes = new Map<string, Map<string, UserPresence>>();
    const put = (id: string, { before, presence }: Change) => {
      if ((recent.get(id)?.statuses.get(presence.user_id) ?? before) === presence.status) return;
      const box = boxes.get(id) ?? new Map<string, UserPresence>();
      boxes.set(id, box.set(presence.user_id, presence));
    };
    for (const change of changes) {
      for (const channel of [userAudience(change.presence.user_id), ...change.rooms.map(roomAudience)]) {
        for (const id of inAudience(channel)) if (!seesCity(id)) put(id, change);
      }
    }
    for (const id of recent.keys()) if (seesCity(id)) for (const change of changes) put(id, change);
    for (const [id, box] of boxes) tell(id, [...box.values()]);

    for (const [id, shown] of recent) {
      for (const { presence } of changes) shown.statuses.delete(presence.user_id);
      if (shown.statuses.size === 0 || shown.until < now) recent.delete(id);
    }
  };

  const grow = (now: number) => {
    if (view.here.size <= cityViewMax) return;
    largeAt = now;
    if (large) return;
    large = true;
    // Who went within this window was shown, too; the change that is still to be taken has the rest.
    for (const user_id of view.dirtyUsers()) {
      pictured.set(user_id, { user_id, status: 'offline', last_seen: null });
    }
    for (const presence of view.here.values()) pictured.set(presence.user_id, presence);
  };

  /** The city is not too large any more; returns everybody who is here, and those shown before who are not. */
  const shrink = (): UserPresence[] => {
    large = false;
    for (const [userId, presence] of pictured) pictured.set(userId, { ...presence, status: 'offline' });
    for (const presence of view.here.values()) pictured.set(presence.user_id, presence);
    const users = [...pictured.values()];
    pictured.clear();
    return users;
  };

  const flush = () => {
    const now = performance.now();
    grow(now);
    if (large && now - largeAt >= LARGE_MS) {
      const ids = [...inAudience(CITY)];
      local.to(CITY).emit('presence.bulk_update', { users: shrink() });
      show(ids, view.dirtyUsers());
    } else {
      const changes = view.take(now);
      const wide = changes.filter(({ before, presence }) => before !== presence.status);
      const users = wide.map(({ presence }) => presence);
      if (!large) tell(CITY, users, [...recent.keys()]);
      for (const { presence } of changes) {
        if (pictured.has(presence.user_id)) pictured.set(presence.user_id, presence);
      }
      tellSingly(changes, now);
    }
    count();
    if (view.isDirty() || large) schedule();
  };
  const schedule = () => later('flush', WINDOW_MS, flush);

  const count = () => {
    const now = performance.now();
    const { online, away } = view.counts();
    const changed = online !== counted.online || away !== counted.away;
    if (!changed && uncounted.length === 0) return;
    if (now - toldAt < COUNT_MS) return later('count', COUNT_MS - (now - toldAt), count);
    const everyMs = Math.min(COUNT_LATEST_MS, (namespace.sockets.size / COUNTS_PER_S) * 1_000);
    const everybody = changed && now - countedAt >= everyMs;
    if (!everybody) later('count', COUNT_MS, count);
    if (!everybody && uncounted.length === 0) return;
    (everybody ? local : local.to(uncounted)).emit('presence.count', { online, away });
    toldAt = now;
    uncounted = [];
    if (!everybody) return;
    counted = { online, away };
    countedAt = now;
  };

  /** Notes that sockets know how these users stand now, announced or not. */
  const show = (ids: string[], userIds: Iterable<string>) => {
    const statuses = new Map<string, PresenceStatus>();
    for (const userId of userIds) statuses.set(userId, view.statusOf(userId));
    if (statuses.size === 0) return;
    const until = performance.now() + SHOWN_MS;
    for (const id of ids) {
      recent.set(id, { statuses: new Map([...(recent.get(id)?.statuses ?? []), ...statuses]), until });
    }
  };

  const welcome = () => {
    grow(performance.now());
    const sockets = arriving.filter(({ connected }) => connected);
    arriving = [];
    if (sockets.length === 0) return;
    uncounted.push(...sockets.map(({ id }) => id));
    const willing = sockets.filter((socket) => !unwilling.has(socket));
    const ids = willing.map(({ id }) => id);
    // Without an addressee it would go to everybody.
    if (ids.length > 0) {
      local.to(ids).emit('presence.bulk_update', { users: large ? [] : [...view.here.values()] });
    }
    for (const socket of willing) void socket.join(CITY);
    if (!large) show(ids, view.dirtyUsers());
    count();
    if (large) schedule();
  };

  return {
    schedule,

    /** Puts a new socket in the city's audience, with the snapshot first, unless it has left the city already. */
    welcome(socket: PresenceSocket): void {
      arriving.push(socket);
      later('welcome', WELCOME_MS, welcome);
    },

    /** Notes that a socket is to enter the city, unless it leaves before it has. */
    expectInCity: (socket: PresenceSocket): void => void unwilling.delete(socket),

    /** Puts an expected socket in the city's audience; returns everybody in it, unless they are too many. */
    enterCity(socket: PresenceSocket): UserPresence[] {
      grow(performance.now());
      if (!unwilling.has(socket)) void socket.join(CITY);
      if (large) return [];
      show([socket.id], view.dirtyUsers());
      return [...view.here.values()];
    },

    leaveCity(socket: PresenceSocket): void {
      unwilling.add(socket);
      void socket.leave(CITY);
    },

    /** Notes what an answer has told a socket, so that it is not told again. */
    shown(socket: PresenceSocket, users: UserPresence[]): void {
      const statuses = new Map(recent.get(socket.id)?.statuses);
      for (const { user_id, status } of users) statuses.set(user_id, status);
      if (statuses.size > 0) recent.set(socket.id, { statuses, until: performance.now() + SHOWN_MS });
    },

    forget: (socket: PresenceSocket): void => void recent.delete(socket.id),

    stop(): void {
      stopped = true;
      for (const timer of Object.values(timers)) clearTimeout(timer);
    },
  };
}
