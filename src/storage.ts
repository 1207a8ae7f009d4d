/** `npm run migrate` and `npm run seed`: prepares the database of DATABASE_URL. */
import { seed } from '../seeds/index.ts';
import { ConfigError, readDatabaseUrl } from './config.ts';
import { createDb } from './platform/db.ts';
import { createLogger } from './platform/logger.ts';
import { migrate } from './platform/migrate.ts';
import { using, wrongDatabase } from './wrong-values.ts';

const STEPS = { migrate: [migrate], seed: [migrate, seed] } as const;

const step = process.argv[2] as keyof typeof STEPS;
const log = createLogger('info', { task: step });
try {
  if (!Object.hasOwn(STEPS, step)) throw new ConfigError(`usage: storage ${Object.keys(STEPS).join('|')}`);
  const db = createDb(readDatabaseUrl(), log);
  try {
    for (const run of STEPS[step]) await using('DATABASE_URL', wrongDatabase, run(db));
    log.info('done');
  } finally {
    await db.destroy();
  }
} catch (error) {
  if (error instanceof ConfigError) console.error(error.message);
  else log.fatal({ err: error }, 'the database was not prepared');
  process.exitCode = 1;
}
