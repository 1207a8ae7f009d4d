/** How long the city keeps messages and the feed: once an hour what is older goes, in small batches. */
import { setTimeout as sleep } from 'node:timers/promises';
import { dropOldEvents, trimTimelines } from '../feed/retention.ts';
import { emptyOldMessages, findDueRooms } from '../messages/retention.ts';
import type { Db } from '../platform/db.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';

const EVERY_MS = 3_600_000;
/** How soon after its start a worker begins, and begins again after it has failed. */
const SOON_MS = 1_000;
/** Rows in one transaction, which holds up a room for as long as it takes. */
const BATCH = 500;

interface RetentionDeps {
  db: Db;
  /** Days that messages, and feed events, are kept; undefined: for ever. */
  messagesDays: number | undefined;
  feedDays: number | undefined;
  log: Logger;
}

/** Every batch finds for itself what is due, so that a pass may be broken off and any number of workers be at it. */
export function createRetention({ db, messagesDays, feedDays, log }: RetentionDeps) {
  const stopping = new AbortController();
  const { signal } = stopping;

  /** Repeats `batch` for as long as it says that there is more; half of the time belongs to everybody else. */
  const repeat = async (batch: () => Promise<boolean>) => {
    for (let more = true; more && !signal.aborted;) {
      const began = performance.now();
      more = await batch();
      await sleep(performance.now() - began, undefined, { signal }).catch(() => {});
    }
  };

  const pass = async () => {
    if (messagesDays !== undefined) {
      for (const roomId of await findDueRooms(db, messagesDays)) {
        await repeat(() => emptyOldMessages(db, roomId, messagesDays, BATCH));
      }
    }
    if (feedDays === undefined) return;
    await repeat(() => dropOldEvents(db, feedDays, BATCH));
    let after: string | null = '';
    await repeat(async () => {
      after = await trimTimelines(db, after!, BATCH);
      return after !== null;
    });
  };

  let due = 0;
  let end: (() => Promise<void>) | undefined;

  return {
    start(): void {
      if (messagesDays === undefined && feedDays === undefined) return;
      const look = async () => {
        if (performance.now() < due) return;
        await pass();
        due = performance.now() + EVERY_MS;
      };
      end = startLoop(SOON_MS, look, log, 'what is too old cannot be removed');
    },
    async stop(): Promise<void> {
      stopping.abort();
      await end?.();
    },
  };
}
