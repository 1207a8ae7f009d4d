/**
 * What this node holds to be so: everybody who is not offline, kept in step with the numbered log in Redis.
 *
 * Transitions are applied in the order of their versions. One that is missing for a moment, a log that has moved on
 * without us, and a log of another epoch all end in the same cure: the snapshot is read and only the differences are
 * taken over. Changes collect in `dirty` until they are taken to be announced; of a user who flaps one a second is.
 */
import type { PresenceStatus, UserPresence } from '../contract/presence.ts';
import type { Logger } from '../platform/logger.ts';
import type { News, Snapshot, Standing, Transition } from './presence.store.ts';

/** Milliseconds. */
const GAP_MS = 200;
const PER_USER_MS = 1_000;
/** How far a user who flaps may run ahead of one a second. */
const AHEAD_MS = 2_000;
const EARLY_MAX = 5_000;

/** A change to announce: what the clients were told last, and what is so now. */
export interface Change {
  before: PresenceStatus;
  presence: UserPresence;
  /** The rooms that the user had open at their last transition, or had just left when it took them offline. */
  rooms: string[];
}

interface ViewDeps {
  log: Logger;
  readSnapshot(): Promise<Snapshot>;
  /** How users stand, in their order. */
  readStatuses(userIds: string[]): Promise<Standing[]>;
  /** Called for every change of status, in the order of the log, with the rooms that the user has open. */
  onChange(presence: UserPresence, rooms: string[]): void;
  /** Called when something waits to be announced. */
  onDirty(): void;
  /** Called when a snapshot was read, with the number of differences. */
  onReload(differences: number): void;
}

export type View = ReturnType<typeof createView>;

export function createView({ log, readSnapshot, readStatuses, onChange, onDirty, onReload }: ViewDeps) {
  const here = new Map<string, UserPresence>();
  const dirty = new Map<string, Change>();
  /** User to when their announcements would be over at one a second. */
  const busyUntil = new Map<string, number>();
  let online = 0;
  let epoch = '';
  let version = 0;
  const early = new Map<number, Transition>();
  /** News that came during a reload, to be applied on top of it. */
  let held: News[] | undefined;
  let reloading: Promise<void> | undefined;
  let gapTimer: NodeJS.Timeout | undefined;
  /** The last snapshot was taken while Redis was still being filled: people missing from it are kept. */
  let provisional = false;

  const statusOf = (userId: string): PresenceStatus => here.get(userId)?.status ?? 'offline';

  const apply = (presence: UserPresence, rooms: string[] = [], left: string[] = []) => {
    const { user_id, status } = presence;
    const before = statusOf(user_id);
    if (before === 'online') online--;
    if (status === 'online') online++;
    if (status === 'offline') here.delete(user_id);
    else here.set(user_id, presence);
    if (before === status) return;
    onChange(presence, rooms);
    const told = [...rooms, ...left];
    dirty.set(user_id, { before: dirty.get(user_id)?.before ?? before, presence, rooms: told });
    onDirty();
  };

  const drain = () => {
    for (;;) {
      const next = early.get(version + 1);
      if (!next) break;
      early.delete(++version);
      apply(next.presence, next.rooms, next.left);
    }
  };

  const loadOnce = async () => {
    held = [];
    try {
      const snapshot = await readSnapshot();
      const found = new Set(snapshot.users.map(({ user_id }) => user_id));
      const gone = snapshot.calm ? [] : [...here.keys()].filter((id) => !found.has(id));
      const changed = snapshot.users.filter(({ user_id, status }) => statusOf(user_id) !== status);
      const ids = [...gone, ...changed.map(({ user_id }) => user_id)];
      const details = ids.length > 0 ? await readStatuses(ids) : [];
      const detail = new Map(details.map((each) => [each.presence.user_id, each]));
      for (const user_id of gone) {
        const standing = detail.get(user_id);
        const last_seen = standing?.presence.last_seen ?? here.get(user_id)?.last_seen ?? null;
        apply({ user_id, status: 'offline', last_seen }, standing?.rooms, standing?.left);
      }
      for (const presence of snapshot.users) apply(presence, detail.get(presence.user_id)?.rooms);
      ({ epoch, version } = snapshot);
      provisional = snapshot.calm;
      early.clear();
      onReload(ids.length);
    } finally {
      const waiting: News[] = held ?? [];
      held = undefined;
      for (const news of waiting) if (news.epoch === epoch) accept(news);
    }
  };

  /**
   * Reads the snapshot and takes over the differences; one reader at a time.
   * @throws the Redis error, with everything left as it was
   */
  const reload = (): Promise<void> => {
    reloading ??= loadOnce().finally(() => {
      reloading = undefined;
    });
    return reloading;
  };

  /** A failed reload is the next check's to repeat. */
  const reloadSoon = () => {
    reload().catch((error: unknown) => log.debug({ err: error }, 'presence was not reloaded'));
  };

  /** Gives what is missing before version `wanted` a moment to arrive. */
  const expect = (wanted: number) => {
    const from = epoch;
    gapTimer ??= setTimeout(() => {
      gapTimer = undefined;
      if (version < wanted || epoch !== from) reloadSoon();
      else if (early.size > 0) expect(Math.max(...early.keys()));
    }, GAP_MS);
  };

  /** Applies transitions, this node's or another's, in the order of their versions. */
  function accept(news: News): void {
    if (!held && news.epoch !== epoch) reloadSoon();
    if (held) return void held.push(news);
    if (early.size > EARLY_MAX) early.clear();
    for (const transition of news.transitions) {
      if (transition.version > version) early.set(transition.version, transition);
    }
    drain();
    if (early.size > 0) expect(Math.max(...early.keys()));
  }

  return {
    here: here as ReadonlyMap<string, UserPresence>,
    statusOf,
    counts: () => ({ online, away: here.size - online }),
    accept,
    reload,

    /** Compares with where the log stands in Redis. */
    check(log: { epoch: string; version: number }): void {
      if (provisional || log.epoch !== epoch || log.version < version) reloadSoon();
      else if (log.version > version) expect(log.version);
    },

    /** Whether the clients have not been told of a user's status yet. */
    dirtyUsers: () => dirty.keys(),
    isDirty: () => dirty.size > 0,

    /** Takes what may be announced now; users who flap stay for later. `now` is monotonic, milliseconds. */
    take(now: number): Change[] {
      for (const [userId, until] of busyUntil) if (until <= now) busyUntil.delete(userId);
      const changes: Change[] = [];
      for (const [userId, change] of dirty) {
        const until = Math.max(busyUntil.get(userId) ?? 0, now);
        if (until > now + AHEAD_MS) continue;
        dirty.delete(userId);
        changes.push(change);
        if (change.before !== change.presence.status) busyUntil.set(userId, until + PER_USER_MS);
      }
      return changes;
    },

    stop(): void {
      clearTimeout(gapTimer);
    },
  };
}
