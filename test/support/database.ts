/** A database of its own for each test file, cloned from the template that global-setup.ts prepared. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';

/** The migrated and seeded database that the others are clones of. */
export const TEMPLATE = 'city_template';

export interface TestDatabase {
  url: string;
  /** Drops it, cutting whoever is still connected. */
  drop(): Promise<void>;
}

/** A fresh clone of the template: current schema, seeds planted. */
export async function createDatabase(): Promise<TestDatabase> {
  const adminUrl = process.env.TEST_PG_ADMIN_URL;
  if (!adminUrl)
    throw new Error('TEST_PG_ADMIN_URL is not set: run this through jest, whose global setup sets it');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  await execute(adminUrl, `create database ${name} template ${TEMPLATE}`);
  return {
    url: withDatabase(adminUrl, name),
    drop: () => execute(adminUrl, `drop database if exists ${name} with (force)`),
  };
}

/** `url` with another database name. */
export function withDatabase(url: string, name: string): string {
  return Object.assign(new URL(url), { pathname: `/${name}` }).href;
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
