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

const WAL = `\nmin_wal_size = 1GB\nmax_wal_size = 2GB\n`;
const WAL_SEGMENTS = 60;
const COUNTING = `\nshared_preload_libraries = 'pg_stat_statements'\npg_stat_statements.track = none\n`;

/**
 * PostgreSQL with pg_stat_statements loaded and off; where its binaries do not have it, without. A durable one has the
 * segments of its log that a server has which has run for a while: a new one makes each before it writes to it, and
 * everybody's commits wait for that, 50 ms and more a time.
 */
export async function startCountingPostgres(dataDir: string, durable: boolean): Promise<Service> {
  const options = { dataDir, durable, log: () => {} };
  const first = await startPostgres(options);
  const found = await statements(first.url, [
    `select from pg_available_extensions where name = 'pg_stat_statements'`,
  ]);
  const counting = found[0]!.rowCount !== 0;
  await first.stop();
  await appendFile(join(dataDir, 'postgresql.conf'), (durable ? WAL : '') + (counting ? COUNTING : ''));
  const postgres = await startPostgres(options);
  if (counting) await statements(postgres.url, ['create extension pg_stat_statements']);
  if (durable) {
    const segment = [`select pg_logical_emit_message(false, 'bench', '')`, 'select pg_switch_wal()'];
    await statements(postgres.url, [...Array(WAL_SEGMENTS).fill(segment).flat(), 'checkpoint']);
  }
  return postgres;
}

async function statements(url: string, all: string[]): Promise<pg.QueryResult[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const results = [];
    for (const sql of all) results.push(await client.query(sql));
    return results;
  } finally {
    await client.end();
  }
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
