/**
 * The group commit: the first append goes out at once, those that arrive while a commit is in flight form the next
 * batch. An idle room pays no delay; a busy node pays one fsync for many.
 *
 * What is sent to a room with a commit in flight waits for it, so that the order of a room is that of the queue; within a
 * batch new messages come before changes, which are of messages that exist. Other rooms do not wait for a commit that is
 * late, and held rooms never fill all places: rooms that somebody has locked harm no others.
 */
import { randomUUID } from 'node:crypto';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Message } from '../contract/messages.ts';
import type { Db } from '../platform/db.ts';
import { AppError, isTemporary, refusesWrites, waitedForLock } from '../platform/errors.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { appendBatch, postBatch } from './log.repo.ts';
import type { Appended, Change, Creation } from './log.repo.ts';

const BATCH_MAX = 500;
/** Batches up to this size are never divided, and their acknowledgements do not wait for the deliveries. */
const SMALL = 16;
const QUEUE_MAX = 10_000;
/** Commits in flight at most, and those of them that are of rooms that are held. */
export const COMMITS_MAX = 3;
const HELD_COMMITS_MAX = COMMITS_MAX - 1;
/** One that takes longer is late: another may begin beside it. */
const LATE_MS = 50;
const RETRY_AFTER_MS = 100;
/** For how long a refused batch says that writes are refused, unless one is committed meanwhile. */
const REFUSED_MS = 30_000;

type Result = Omit<Appended, 'ord'>;

interface Pending {
  entry: { creation: Creation } | { change: Change };
  resolve(result: Result): void;
  reject(error: unknown): void;
}

interface WriterDeps {
  db: Db;
  log: Logger;
  metrics: Metrics;
  /** Called soon after every commit with what it changed, each room's changes in order; must not throw. */
  onCommitted(messages: Message[]): void;
}

/** A batch on its way to PostgreSQL. */
interface Flight {
  readonly rooms: ReadonlySet<string>;
  late: boolean;
}

const roomOf = ({ entry }: Pending): string =>
  'creation' in entry ? entry.creation.room_id : entry.change.room_id;

const byRoom = (batch: Pending[]): Pending[][] => {
  const rooms = new Map<string, Pending[]>();
  for (const pending of batch) {
    const room = rooms.get(roomOf(pending));
    if (room) room.push(pending);
    else rooms.set(roomOf(pending), [pending]);
  }
  return [...rooms.values()];
};

export function createWriter({ db, log, metrics, onCommitted }: WriterDeps) {
  const queue: Pending[] = [];
  const inFlight = new Map<Flight, Promise<void>>();
  /** Rooms that waited too long for a lock, until they are committed again: they keep no others waiting. */
  const held = new Set<string>();
  let lastSize = 0;
  let refusedAt = -Infinity;

  /** Whether it has a commit in flight, or is held and as many held rooms as may have one in flight do. */
  const isBlocked = (roomId: string): boolean => {
    let heldCommits = 0;
    for (const { rooms } of inFlight.keys()) {
      if (rooms.has(roomId)) return true;
      // A held room goes alone, so the first of a batch tells.
      const [first] = rooms;
      if (held.has(first!)) heldCommits++;
    }
    return heldCommits >= HELD_COMMITS_MAX && held.has(roomId);
  };

  /** What became of each of `creations` and `changes`, in that order. */
  const store = async (creations: Creation[], changes: Change[]): Promise<Result[]> => {
    const posted = creations.length > 0 ? await postBatch(db, creations) : [];
    const unusual = posted ? [] : creations;
    const appended = unusual.length + changes.length > 0 ? await appendBatch(db, unusual, changes) : [];
    return [
      ...(posted ?? []).map((message) => ({ outcome: 'created', message, retry_after_ms: null }) as const),
      ...appended.sort((a, b) => a.ord - b.ord),
    ];
  };

  const commitOnce = async (batch: Pending[]) => {
    const creations = batch.flatMap(({ entry }) => ('creation' in entry ? [entry.creation] : []));
    const changes = batch.flatMap(({ entry }) => ('change' in entry ? [entry.change] : []));
    const results = await store(creations, changes);
    refusedAt = -Infinity;
    if (held.size > 0) for (const pending of batch) held.delete(roomOf(pending));
    metrics.appendBatch.observe(batch.length);
    let [creation, change] = [0, creations.length];
    for (const { entry, resolve } of batch) resolve(results['creation' in entry ? creation++ : change++]!);
    const changed = results.filter(({ outcome }) => outcome === 'created' || outcome === 'changed');
    const messages = changed.map(({ message }) => message).sort((a, b) => a.change_seq - b.change_seq);
    // A busy node does better to send its acknowledgements in one piece with the deliveries.
    if (batch.length <= SMALL) setImmediate(onCommitted, messages);
    else onCommitted(messages);
  };

  /**
   * A batch may be repeated after a lost answer (migration 0004), so trouble with the connection is tried once more.
   * Of a batch that waited too long for a lock each room is tried by itself.
   */
  const commit = async (batch: Pending[]): Promise<void> => {
    try {
      await commitOnce(batch).catch(async (error: unknown) => {
        if (!isTemporary(error)) throw error;
        if (waitedForLock(error)) {
          const rooms = byRoom(batch);
          if (rooms.length > 1) {
            rooms.forEach(fly);
            return;
          }
          held.add(roomOf(batch[0]!));
        }
        await sleep(RETRY_AFTER_MS);
        await commitOnce(batch);
      });
    } catch (error) {
      metrics.appendFailures.inc();
      if (refusesWrites(error)) refusedAt = performance.now();
      log.error({ err: error, size: batch.length }, 'a batch of the room log failed');
      if (batch.length === 1 || isTemporary(error)) {
        for (const { reject } of batch) reject(error);
        return;
      }
      // One bad entry must not fail its neighbours.
      for (const pending of batch) await commit([pending]);
    }
  };

  /** Commits a batch whose rooms have nothing in flight, and goes on with what waits when it is late or done. */
  const fly = (batch: Pending[]): void => {
    const flight: Flight = { rooms: new Set(batch.map(roomOf)), late: false };
    const late = setTimeout(() => {
      flight.late = true;
      begin();
    }, LATE_MS);
    const landed = commit(batch).finally(() => {
      clearTimeout(late);
      inFlight.delete(flight);
      begin();
    });
    inFlight.set(flight, landed);
  };

  /**
   * The first of the queue, without rooms that have a commit in flight, with none beside a room that is held, and with
   * at most one change to each message, so that each is answered with its own result. Of what waits and was last
   * committed no more than half: while PostgreSQL works at one half, the senders of the other are answered and send
   * again, where a batch of all would have either wait for the other.
   */
  const nextBatch = (): Pending[] => {
    const half = Math.ceil((queue.length + lastSize) / 2);
    const max = Math.min(BATCH_MAX, Math.max(SMALL, half));
    /** Rooms of which something waits before what comes next. */
    const blocked = new Set<string>();
    const changed = new Set<string>();
    const batch: Pending[] = [];
    const left: Pending[] = [];
    let looked = 0;
    while (looked < queue.length && batch.length < max) {
      const pending = queue[looked++]!;
      const change = 'change' in pending.entry ? pending.entry.change : undefined;
      const roomId = roomOf(pending);
      const first = batch[0] ? roomOf(batch[0]) : roomId;
      const apart = roomId !== first && (held.has(roomId) || held.has(first));
      const again = change && changed.has(change.message_id);
      if (apart || again || blocked.has(roomId) || isBlocked(roomId)) {
        blocked.add(roomId);
        left.push(pending);
        continue;
      }
      if (change) changed.add(change.message_id);
      batch.push(pending);
    }
    queue.splice(0, looked, ...left);
    return batch;
  };

  /** One commit at a time carries most: another begins only beside those that are late. */
  const begin = (): void => {
    if (queue.length === 0 || inFlight.size >= COMMITS_MAX) return;
    for (const { late } of inFlight.keys()) if (!late) return;
    const batch = nextBatch();
    if (batch.length === 0) return;
    lastSize = batch.length;
    fly(batch);
  };

  return {
    /**
     * Resolves once the entry is committed (or found to need no commit).
     * @throws AppError unavailable when more waits than this node can hold; storage errors as they are
     */
    append(given: Pending['entry']): Promise<Result> {
      if (queue.length >= QUEUE_MAX) {
        return Promise.reject(new AppError('unavailable', 'Too many messages are waiting to be stored.'));
      }
      const entry = 'change' in given ? { change: { id: randomUUID(), ...given.change } } : given;
      return new Promise((resolve, reject) => {
        const pending = { entry, resolve, reject };
        queue.push(pending);
        // What must wait in any case is not worth a look at all that waits.
        if (!isBlocked(roomOf(pending))) begin();
      });
    },
    /** Whether PostgreSQL refused the last batch because it takes no writes. */
    refused: () => performance.now() - refusedAt < REFUSED_MS,
    /** Resolves when everything accepted so far is committed and told, or refused. */
    async settled(): Promise<void> {
      while (inFlight.size > 0) await Promise.all(inFlight.values());
      await nextTurn();
    },
  };
}
