/**
 * `npx tsx test/browser/screenshots.ts`: builds the city, fills it with an evening's talk, and writes the pictures of the
 * README to docs/screenshots. Needs what `npm run dev` needs, and a Chromium.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '../../dev/services/postgres.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { seed } from '../../seeds/index.ts';
import { createDb } from '../../src/platform/db.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { build } from '../support/processes.ts';
import { populate, shoot } from './scene.ts';
import { startStage } from './stage.ts';

const FOLDER = fileURLToPath(new URL('../../docs/screenshots', import.meta.url));
/** Those that the README shows. */
const KEPT = /^(home|room|second-me|moderation|inspect)-desktop$|^(home|room)-(dark|phone)$/;

const closers: (() => Promise<unknown>)[] = [];
try {
  build();
  const folder = await mkdtemp(join(tmpdir(), 'city-pictures-'));
  closers.push(() => rm(folder, { recursive: true, force: true }));
  const options = { durable: false, log: () => {} };
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), ...options });
  closers.push(() => postgres.stop());
  const redis = await startRedis({ dataDir: join(folder, 'redis'), ...options });
  closers.push(() => redis.stop());
  const db = createDb(postgres.url, createLogger('warn'));
  await migrate(db);
  await seed(db);
  await db.destroy();

  const env = { RATE_LIMITS: 'off' };
  const stage = await startStage({ databaseUrl: postgres.url, redisUrl: redis.url, env });
  closers.push(() => stage.close());
  const scene = await populate(stage);
  closers.push(async () => scene.end());
  for await (const { place } of shoot(stage, scene, FOLDER)) {
    if (KEPT.test(place)) console.log(`docs/screenshots/${place}.png`);
    else await rm(join(FOLDER, `${place}.png`));
  }
  const faults = await stage.clear();
  if (faults.length > 0) throw new Error(faults.join('\n'));
} finally {
  for (const close of closers.reverse()) await close();
}
