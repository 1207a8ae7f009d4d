/**
 * Which SQL statements a REST request of a node in this process makes: the nodes' own pollers are not in it, since a
 * statement belongs to the request in whose asynchronous context it was sent.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Server } from 'node:http';
import type { IncomingMessage } from 'node:http';
import pg from 'pg';

/** What knex asks of each new connection; it belongs to the pool and not to the request that needed one more. */
const OF_THE_POOL = /^select version\(\)/i;

export interface Statements {
  /** The statements of the request with this X-Request-Id so far, BEGIN and COMMIT among them. */
  of(requestId: string): string[];
  /** Stops listening. */
  stop(): void;
}

/** Listens to every HTTP server and every PostgreSQL connection of this process. */
export function recordStatements(): Statements {
  const byRequest = new Map<string, string[]>();
  const context = new AsyncLocalStorage<string[]>();
  const http = Server.prototype as { emit(event: string, ...args: unknown[]): boolean };
  const client = pg.Client.prototype as unknown as { query(...args: unknown[]): unknown };
  const { emit } = http;
  const { query } = client;

  http.emit = function (event, ...args) {
    if (event !== 'request') return emit.call(this, event, ...args);
    const id = (args[0] as IncomingMessage).headers['x-request-id'];
    const statements: string[] = [];
    if (typeof id === 'string') byRequest.set(id, statements);
    return context.run(statements, () => emit.call(this, event, ...args));
  };
  client.query = function (...args) {
    const [asked] = args as [string | { text: string }];
    const sql = typeof asked === 'string' ? asked : asked.text;
    if (!OF_THE_POOL.test(sql)) context.getStore()?.push(sql);
    return query.apply(this, args);
  };

  return {
    of: (requestId) => byRequest.get(requestId) ?? [],
    stop() {
      http.emit = emit;
      client.query = query;
    },
  };
}
