/** Brings the schema up to date, from any number of nodes at once. */
import type { Knex } from 'knex';
import { setTimeout as sleep } from 'node:timers/promises';
import * as city from '../../migrations/0001_city.ts';
import * as append from '../../migrations/0002_append.ts';
import * as deadInvocations from '../../migrations/0003_dead_invocations.ts';
import * as changeIds from '../../migrations/0004_change_ids.ts';
import * as moderation from '../../migrations/0005_moderation.ts';
import * as logout from '../../migrations/0006_logout.ts';
import * as me from '../../migrations/0007_me.ts';
import * as post from '../../migrations/0008_post.ts';
import * as secondMe from '../../migrations/0009_second_me.ts';
import * as feedView from '../../migrations/0010_feed_view.ts';
import * as endedRooms from '../../migrations/0011_ended_rooms.ts';
import * as restrictedChanges from '../../migrations/0012_restricted_changes.ts';
import * as firstChanges from '../../migrations/0013_first_changes.ts';

/** A static list keeps one recorded name for tsx, jest and the build (knex would record the file's extension). */
const MIGRATIONS: Record<string, Knex.Migration> = {
  '0001_city': city,
  '0002_append': append,
  '0003_dead_invocations': deadInvocations,
  '0004_change_ids': changeIds,
  '0005_moderation': moderation,
  '0006_logout': logout,
  '0007_me': me,
  '0008_post': post,
  '0009_second_me': secondMe,
  '0010_feed_view': feedView,
  '0011_ended_rooms': endedRooms,
  '0012_restricted_changes': restrictedChanges,
  '0013_first_changes': firstChanges,
};

export const migrationSource: Knex.MigrationSource<string> = {
  getMigrations: async () => Object.keys(MIGRATIONS).sort(),
  getMigrationName: (name) => name,
  getMigration: async (name) => MIGRATIONS[name]!,
};

const LOCK = 727_002;

/**
 * Runs the migrations that are missing; returns when the schema is current. Waits for another node that is at it.
 * Needs a pool of at least 2 connections: one holds the advisory lock. The lock is polled, not waited for, since a
 * waiting transaction would block CREATE INDEX CONCURRENTLY.
 */
export async function migrate(db: Knex): Promise<void> {
  const connection = await db.client.acquireConnection();
  const ask = async (sql: string) =>
    (await db.raw<{ rows: { ok: boolean }[] }>(sql, [LOCK]).connection(connection)).rows[0]!.ok;
  try {
    while (!(await ask('select pg_try_advisory_lock(?) ok'))) await sleep(200);
    try {
      // In a roll of versions a node of the older one may start on a schema that has steps it does not know.
      await db.migrate.latest({ migrationSource, disableMigrationsListValidation: true });
    } finally {
      await ask('select pg_advisory_unlock(?) ok');
    }
  } finally {
    await db.client.releaseConnection(connection);
  }
}
