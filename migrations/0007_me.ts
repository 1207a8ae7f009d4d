/**
 * What a person may ask for, and what time takes: erasures, the indexes that find everything of one user, and how far
 * the retention of messages has come.
 *
 * An erased message stays as a tombstone with its seq, under an alias that no other erasure has. It takes the next
 * change number of its room, so that subscribers and those who resume hear of it as of any deletion.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    -- Once finished only the hash is left, which says whose earlier tokens are void; of each user the latest.
    create table city_erasures (
      n bigint generated always as identity primary key,
      user_hash text not null,                 -- sha256 of the id, hex
      user_id text null,
      alias text null,
      tokens_not_before timestamptz(3) not null,
      requested_at timestamptz(3) not null default clock_timestamp(),
      finished_at timestamptz(3) null,
      touched_at timestamptz(3) not null default clock_timestamp(),
      worked_until timestamptz(3) null         -- until when the worker at it is believed alive
    );
    create unique index city_erasures_open on city_erasures (user_hash) where finished_at is null;
    create index city_erasures_hash on city_erasures (user_hash);
    create index city_erasures_touched on city_erasures (touched_at);

    -- Everything of one user.
    create index city_room_messages_sender on city_room_messages (sender_id, room_id, seq);
    create index city_rooms_creator on city_rooms (created_by, id) where created_by is not null;
    create index secondme_invocations_user on secondme_invocations (user_id, id);
    create index city_reports_reporter on city_reports (reporter_id, n);
    create index city_reports_handler on city_reports (handled_by) where handled_by is not null;
    create index city_moderation_log_user on city_moderation_log (user_id, n) where user_id is not null;
    create index city_moderation_log_moderator on city_moderation_log (moderator_id, n);

    -- The messages of a room up to this seq have been emptied by retention.
    create table city_retention (
      room_id text primary key references city_rooms(id) on delete cascade,
      upto_seq bigint not null
    );

    -- Erases up to \`size\` messages of a sender in a room, of which \`first_seq\` is the first; how many. (Without it a
    -- planner that takes the room's index would go over all that is erased already.) A room without a head is being
    -- purged: nobody reads its log any more, and its messages keep their numbers until they go.
    create function city_erase_messages(room text, first_seq bigint, sender text, alias text, alias_name text, size integer)
      returns integer language plpgsql as $$
    declare
      head city_room_heads;
      ids text[];
    begin
      select * into head from city_room_heads where room_id = room for update;
      -- As arrays, which a planner takes to be short: for a limit that it does not know it would read the whole table.
      ids := array(
        select id from city_room_messages
        where sender_id = sender and room_id = room and seq >= first_seq order by seq limit size);
      update city_room_messages m set
          body = '', username = alias_name, sender_id = alias,
          author_user_id = case when m.author_user_id is not null then alias end,
          client_id = null, sent_hash = null, change_ids = null,
          deleted_at = coalesce(m.deleted_at, clock_timestamp()),
          change_seq = coalesce(head.last_change_seq + b.k, m.change_seq)
        from unnest(ids) with ordinality b(id, k) where m.id = b.id;
      update city_room_heads set last_change_seq = last_change_seq + cardinality(ids) where room_id = room;
      update city_feed_events set
          removed_at = coalesce(removed_at, clock_timestamp()), payload = '{}', user_id = null,
          tx = case when removed_at is null then pg_current_xact_id() else tx end   -- else they were told already
        where message_id = any(ids);
      return cardinality(ids);
    end $$;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
