/** A private PostgreSQL that can say which statements it ran. */
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { startPostgres } from '../dev/services/postgres.ts';
import type { Service } from '../dev/services/programs.ts';

/** One statement of SQL, as often as it ran. */
export interface Statement {
  query: string;
  calls: number;
  rows: number;
  /** What it wrote to the log of PostgreSQL, bytes: 0 for one that only read. */
  walBytes: number;
}

/** PostgreSQL with pg_stat_statements loaded and off; where its binaries do not have it, without. */
export async function startCountingPostgres(dataDir: string, durable: boolean): Promise<Service> {
  const options = { dataDir, durable, log: () => {} };
  const first = await startPostgres(options);
  const once = async (url: string, sql: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return client.query(sql).finally(() => client.end());
  };
  const found = await once(
    first.url,
    `select from pg_available_extensions where name = 'pg_stat_statements'`,
  );
  if (found.rowCount === 0) return first;
  await first.stop();
  await appendFile(
    join(dataDir, 'postgresql.conf'),
    `\nshared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track = none\n`,
  );
  const postgres = await startPostgres(options);
  await once(postgres.url, 'create extension pg_stat_statements');
  return postgres;
}

/** The statements that `database` runs during `work`. */
export async function countStatements(
  admin: pg.Pool,
  database: string,
  work: () => Promise<void>,
): Promise<Statement[]> {
  const track = async (value: string) => {
    await admin.query(`alter system set pg_stat_statements.track = ${value}`);
    await admin.query('select pg_reload_conf()');
  };
  await track('top');
  await admin.query('select pg_stat_statements_reset()');
  try {
    await work();
    const { rows } = await admin.query<Record<'query' | 'calls' | 'rows' | 'wal_bytes', string>>(
      `select query, calls, rows, wal_bytes from pg_stat_statements s
       join pg_database d on d.oid = s.dbid where d.datname = $1 order by calls desc`,
      [database],
    );
    return rows.map(({ query, calls, rows, wal_bytes }) => ({
      query,
      calls: Number(calls),
      rows: Number(rows),
      walBytes: Number(wal_bytes),
    }));
  } finally {
    await track('none');
  }
}
