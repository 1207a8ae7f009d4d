/** The PostgreSQL pool. */
import knex from 'knex';
import type { Knex } from 'knex';
import pg from 'pg';
import type { Logger } from './logger.ts';

/** A pool or a transaction: what every repository function takes first. */
export type Db = Knex;

const INT8 = 20;
const INT8_ARRAY = 1016;
const TIMESTAMPTZ = 1184;

/** Values as the wire has them: counters as numbers (they stay below 2^53), times as ISO 8601 with milliseconds. */
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid === INT8) return Number;
    if (oid === INT8_ARRAY) return (value: string) => JSON.parse(`[${value.slice(1, -1)}]`) as number[];
    if (oid === TIMESTAMPTZ) return (value: string) => new Date(value).toISOString();
    return pg.types.getTypeParser(oid, format as 'text');
  },
};

type QueryCallback = (error: Error | null, result: unknown) => void;

interface PgConnection {
  query(config: unknown, callback?: QueryCallback): unknown;
  connection: { stream: { destroy(): void } };
  /** knex hands out no connection that has this. */
  __knex__disposed?: Error;
}

/**
 * When `query_timeout` gives up, pg leaves the query running on its connection, and knex would hand that out again:
 * on a link that died without a word every later query would wait behind it.
 */
function retireAfterTimeout(connection: PgConnection): void {
  const query = connection.query.bind(connection);
  connection.query = (config, callback) => {
    if (!callback) return query(config);
    return query(config, (error, result) => {
      if (error?.message === 'Query read timeout') {
        connection.__knex__disposed = error;
        connection.connection.stream.destroy();
      }
      callback(error, result);
    });
  };
}

/**
 * The pool. Limits in milliseconds: a query gives up after 5 s on the server and after 6 s here, so that a frozen
 * server costs seconds and not a hung request; a lock is waited for at most 2 s.
 */
export function createDb(url: string, log: Logger, max = 10): Db {
  return knex({
    client: 'pg',
    // Bodies are nobody's business in a log: errors show the statement without its values.
    compileSqlOnError: false,
    pool: {
      min: 0,
      max,
      idleTimeoutMillis: 30_000,
      afterCreate(connection: PgConnection, done: (error: null, connection: PgConnection) => void) {
        retireAfterTimeout(connection);
        done(null, connection);
      },
    },
    acquireConnectionTimeout: 4_000,
    log: {
      // Whoever asked for the connection hears of it too, and says so once for all.
      warn: (message: unknown) =>
        log[/^(Acquire connection|Connection) error/i.test(String(message)) ? 'debug' : 'warn'](
          { detail: message },
          'postgres',
        ),
      error: (message: unknown) => log.error({ detail: message }, 'postgres'),
      deprecate: () => {},
      debug: () => {},
    },
    connection: {
      connectionString: url,
      application_name: 'city',
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      connectionTimeoutMillis: 3_000,
      statement_timeout: 5_000,
      query_timeout: 6_000,
      lock_timeout: 2_000,
      idle_in_transaction_session_timeout: 10_000,
      types,
    } as Knex.PgConnectionConfig,
  });
}

/** The rows of a raw query; bindings are `?` by place or `:name` by name. */
export async function rows<Row>(
  db: Db,
  sql: string,
  bindings: Knex.RawBinding[] | Knex.ValueDict = [],
): Promise<Row[]> {
  return (await db.raw<{ rows: Row[] }>(sql, bindings as Knex.ValueDict)).rows;
}

/**
 * The rows of a statement that each connection parses and plans once, known by `name`; values are `$1`, `$2`, … .
 * For statements that run all the time and whose planning would cost more than their work.
 */
export async function prepared<Row>(db: Db, name: string, text: string, values: unknown[]): Promise<Row[]> {
  const connection = (await db.client.acquireConnection()) as PgConnection;
  try {
    return await new Promise<Row[]>((resolve, reject) => {
      connection.query({ name, text, values }, (error, result) =>
        error ? reject(error) : resolve((result as { rows: Row[] }).rows),
      );
    });
  } finally {
    await db.client.releaseConnection(connection);
  }
}
