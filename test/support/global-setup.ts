/** Builds the server and starts one PostgreSQL and one Redis for the whole test run, with a template of its databases. */
import knex from 'knex';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres } from '../../dev/services/postgres.ts';
import { startRedis } from '../../dev/services/redis.ts';
import { seed } from '../../seeds/index.ts';
import { migrate } from '../../src/platform/migrate.ts';
import { TEMPLATE, withDatabase } from './database.ts';
import { build } from './processes.ts';
import { servicesOfThisRun, stopServices } from './services.ts';

/** Hands the servers over to the test files in TEST_PG_ADMIN_URL and TEST_REDIS_URL. */
export default async function globalSetup(): Promise<void> {
  build();
  const lines: string[] = [];
  const options = { durable: false, log: (line: string) => lines.push(line) };
  const services = servicesOfThisRun();
  const folder = await mkdtemp(join(tmpdir(), 'city-test-'));
  services.push({ stop: () => rm(folder, { recursive: true, force: true }) });
  try {
    const postgres = await startPostgres({ dataDir: join(folder, 'postgres'), ...options });
    services.push(postgres);
    const redis = await startRedis({ dataDir: join(folder, 'redis'), ...options });
    services.push(redis);
    process.env.TEST_PG_ADMIN_URL = postgres.url;
    process.env.TEST_REDIS_URL = redis.url;
    await prepareTemplate(postgres.url);
  } catch (error) {
    console.error(lines.join('\n'));
    await stopServices(); // jest runs no teardown after a failed setup
    throw error;
  }
}

/** A migrated and seeded database that nobody can connect to, as cloning it demands. */
async function prepareTemplate(adminUrl: string): Promise<void> {
  const admin = knex({ client: 'pg', connection: adminUrl });
  const template = knex({
    client: 'pg',
    connection: withDatabase(adminUrl, TEMPLATE),
    pool: { min: 0, max: 2 },
  });
  try {
    await admin.raw(`create database ${TEMPLATE}`);
    await migrate(template);
    await seed(template);
    await template.destroy();
    await admin.raw(`alter database ${TEMPLATE} with allow_connections false`);
  } finally {
    await template.destroy();
    await admin.destroy();
  }
}
