/**
 * Dead invocations: how many workers each has cost, and when it was given up.
 *
 * `crashes` is apart from `attempt`, since an operator may set it back to 0 and the fence may never go back: a worker
 * that was believed dead could then hold a number that is valid again.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table secondme_invocations
      add column crashes integer not null default 0,   -- attempts whose worker let the lease run out
      add column died_at timestamptz(3) null;          -- given up as poison; null again once it is requeued
    create index secondme_invocations_dead on secondme_invocations (died_at desc) where died_at is not null;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
