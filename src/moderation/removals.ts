/**
 * Takes out of a room those whom another node banned or kicked, or everybody when the room was deleted.
 *
 * News of it comes through the adapter (subscriptions.close) and may be lost. The rows are the truth: once a second
 * this node looks at what changed lately and acts on what still holds, which is harmless to repeat.
 */
import type { Db } from '../platform/db.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import type { Subscriptions } from '../rooms/subscriptions.ts';
import { readRemovals } from './moderation.repo.ts';

/** How long before the last look a row may be dated that was not committed then: longer than a statement may run. */
const OVERLAP_MS = 10_000;

const REASONS = { ban: 'banned', kick: 'kicked', delete_room: 'deleted' } as const;

interface RemovalsDeps {
  db: Db;
  subscriptions: Subscriptions;
  log: Logger;
  pollMs?: number;
}

export function createRemovals({ db, subscriptions, log, pollMs = 1_000 }: RemovalsDeps) {
  let since: string | undefined;
  let end: (() => Promise<void>) | undefined;

  const look = async () => {
    const { now, removals } = await readRemovals(db, since);
    await Promise.all(
      removals.map(({ action, room_id, user_id }) =>
        subscriptions.evict({ room_id, user_id, reason: REASONS[action] }),
      ),
    );
    since = new Date(new Date(now).getTime() - OVERLAP_MS).toISOString();
  };

  return {
    start(): void {
      end = startLoop(pollMs, look, log, 'removals from rooms cannot be read');
    },
    async stop(): Promise<void> {
      await end?.();
    },
  };
}
