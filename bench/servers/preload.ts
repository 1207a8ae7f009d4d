/**
 * Loaded into every measured server before its own code: ends it when the bench has gone, and says what memory it
 * holds after a garbage collection.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Memory {
  residentBytes: number;
  heapBytes: number;
}

/** Collections until finalisers have run and freed pages have gone back. */
const COLLECTIONS = 4;

async function settle(): Promise<void> {
  const { gc } = globalThis as { gc?: () => void };
  if (!gc) throw new Error('start the server with --expose-gc to ask for its memory');
  for (let n = 0; n < COLLECTIONS; n++) {
    gc();
    await sleep(100);
  }
  const { rss, heapUsed } = process.memoryUsage();
  process.send!({ residentBytes: rss, heapBytes: heapUsed } satisfies Memory);
}

process.on('message', () => void settle());
process.on('disconnect', () => process.exit(1));
// Neither listening nor being asked keeps a server up that wants to end.
process.channel?.unref();
