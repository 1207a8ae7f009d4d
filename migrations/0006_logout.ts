/** Logging out everywhere: tokens that a user was issued before this time are void. */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table city_users add column tokens_not_before timestamptz(3) null;
    create index city_users_logouts on city_users (tokens_not_before) where tokens_not_before is not null;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
