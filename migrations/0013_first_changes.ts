/**
 * A room that is made again under the id of a deleted one goes on with its `change_seq`, and the deletion takes a number of
 * its own: the new log begins with the number after it. So whoever stands at a number below `first_change_seq` knows the
 * old log, and nothing of the new one ever follows directly on what they have.
 *
 * Nodes of the version before make rooms without such a number, as all were before.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw('alter table city_room_heads add column first_change_seq bigint not null default 0');
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
