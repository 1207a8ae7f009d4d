/**
 * Moderation: bans and mutes, slow mode, reports, the log of acts, and the deletion of rooms.
 *
 * Lock order, everywhere: a room's head, then its row in city_rooms. A ban takes both, so that no message and no
 * membership of the banned user is committed after it: city_send looks under the head's lock, city_join under a share
 * of the room's.
 *
 * A room exists while it has a head. Its deletion takes the head away at once; the rest is purged in batches.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table city_users add column roles text[] not null default '{citizen}';   -- as the last token said
    alter table city_rooms add column slow_mode_s integer not null default 0 check (slow_mode_s between 0 and 3600);

    create table city_room_restrictions (
      room_id text not null references city_rooms(id) on delete cascade,
      user_id text not null,
      kind text not null check (kind in ('ban', 'mute')),
      until timestamptz(3) null,   -- null: until it is lifted
      primary key (room_id, user_id, kind)
    );
    create index city_room_restrictions_user on city_room_restrictions (user_id, kind);
    create view city_restrictions_in_force as
      select room_id, user_id, kind from city_room_restrictions where until is null or until > now();

    -- Of rooms in slow mode only: when each user sent last.
    create table city_slow_sends (
      room_id text not null references city_rooms(id) on delete cascade,
      user_id text not null,
      sent_at timestamptz(3) not null,
      primary key (room_id, user_id)
    ) with (fillfactor = 70);

    -- A room that takes the id of a deleted one goes on with its change numbers, so that no cursor is ever ahead.
    create table city_deleted_rooms (
      room_id text primary key,
      last_change_seq bigint not null,
      deleted_at timestamptz(3) not null default clock_timestamp()
    );

    -- Outlives the rooms and messages that it speaks of.
    create table city_moderation_log (
      n bigint generated always as identity primary key,
      id text not null unique,
      action text not null,
      moderator_id text not null,
      room_id text null,
      user_id text null,
      message_id text null,
      report_id text null,
      reason text null,
      until timestamptz(3) null,
      request_id text null,
      created_at timestamptz(3) not null default clock_timestamp()
    );
    create index city_moderation_log_room on city_moderation_log (room_id, n desc);
    create index city_moderation_log_recent on city_moderation_log (created_at)
      where action in ('ban', 'kick', 'delete_room');

    create table city_reports (
      n bigint generated always as identity primary key,
      id text not null unique,
      room_id text not null references city_rooms(id) on delete cascade,
      message_id text not null references city_room_messages(id) on delete cascade,
      reporter_id text not null,
      reason text not null,
      status text not null default 'open' check (status in ('open', 'resolved', 'dismissed')),
      note text null,
      handled_by text null,
      handled_at timestamptz(3) null,
      created_at timestamptz(3) not null default now()
    );
    create unique index city_reports_once on city_reports (message_id, reporter_id);
    create index city_reports_queue on city_reports (status, n desc);
    create index city_reports_room on city_reports (room_id);   -- for the deletion of a room

    -- For the deletion of a room. The feed's events outlive it, removed, and are too many to be looked through for it.
    create index city_read_marks_room on city_read_marks (room_id);
    alter table city_feed_events drop constraint city_feed_events_room_id_fkey;

    -- A page of the city without the rooms that its reader is banned from is found in the index alone.
    drop index city_feed_events_city, city_feed_events_kind;
    create index city_feed_events_city on city_feed_events (n desc) include (room_id) where removed_at is null;
    create index city_feed_events_kind on city_feed_events (kind, n desc) include (room_id) where removed_at is null;

    create function city_join(room text, given text[]) returns table (member text, outcome text)
    language plpgsql as $$
    begin
      -- Nothing to write, nothing to lock: who comes back comes back also while the database takes no writes.
      if not exists (
        select from unnest(given) g(id)
        where not exists (select from city_room_members m where m.room_id = room and m.user_id = g.id)
           or exists (select from city_restrictions_in_force r
                      where r.room_id = room and r.user_id = g.id and r.kind = 'ban')
      ) and exists (select from city_room_heads where room_id = room) then
        return query select g.id, 'joined' from unnest(given) g(id);
        return;
      end if;
      perform from city_rooms where id = room for key share;
      -- A statement of its own: it sees what was committed while the one before waited.
      perform from city_room_heads where room_id = room;
      if not found then
        return query select g.id, 'no_room' from unnest(given) g(id);
        return;
      end if;
      return query
      with welcome as (
        select g.id, not exists (select from city_restrictions_in_force r
                                 where r.room_id = room and r.user_id = g.id and r.kind = 'ban') welcome
        from unnest(given) g(id)
      ), joined as (
        insert into city_room_members (room_id, user_id)
        select room, w.id from welcome w
        where w.welcome and not exists (select from city_room_members m where m.room_id = room and m.user_id = w.id)
        order by w.id on conflict do nothing
      )
      select w.id, case when w.welcome then 'joined' else 'banned' end from welcome w;
    end $$;

    -- city_append for what may be appended; the rest comes back as banned, muted or slowed. What repeats a message
    -- that is stored is no new one: neither a mute nor slow mode keeps its answer from its author.
    create function city_send(creations jsonb, changes jsonb)
      returns table (entry city_append_result, retry_after_ms integer)
    language plpgsql as $$
    declare
      given record;
      keys text[] := '{}';
      refused integer[] := '{}';
      key text;
      verdict text;
    begin
      -- As city_append does it, which then finds them locked.
      perform from city_room_heads
        where room_id in (select x->>'room_id' from jsonb_array_elements(creations || changes) x)
        order by room_id for update;

      for given in
        select c.*, coalesce(c.author_agent_id, c.author_user_id) author_id, r.slow_mode_s, f.kind
        from jsonb_to_recordset(creations) c(ord integer, id text, room_id text, sender_id text, author_user_id text,
             author_agent_id text, client_id text, unslowed boolean)
        join city_rooms r on r.id = c.room_id
        left join lateral (
          select min(f.kind) kind from city_restrictions_in_force f   -- a ban weighs more than a mute
          where f.room_id = c.room_id and f.user_id = c.sender_id
        ) f on true
        where f.kind is not null or r.slow_mode_s > 0 and not coalesce(c.unslowed, false)
        order by c.ord
      loop
        key := concat_ws(' ', given.room_id, given.author_id, given.client_id);
        verdict := null;
        retry_after_ms := null;
        if exists (select from city_room_messages m where m.id = given.id) then
          continue;   -- committed before an answer that was lost
        elsif given.kind = 'ban' then
          verdict := 'banned';
        elsif given.client_id is not null and (key = any (keys) or exists (
                select from city_room_messages m
                where m.room_id = given.room_id and m.author_id = given.author_id and m.client_id = given.client_id)) then
          continue;
        elsif given.kind = 'mute' then
          verdict := 'muted';
        else
          insert into city_slow_sends as s (room_id, user_id, sent_at)
            values (given.room_id, given.sender_id, clock_timestamp())
            on conflict (room_id, user_id) do update set sent_at = excluded.sent_at
            where s.sent_at <= excluded.sent_at - make_interval(secs => given.slow_mode_s);
          if not found then
            verdict := 'slowed';
            select greatest(1, ceil(1000 * extract(epoch from
                     s.sent_at + make_interval(secs => given.slow_mode_s) - clock_timestamp())))::integer
              into retry_after_ms
              from city_slow_sends s where s.room_id = given.room_id and s.user_id = given.sender_id;
          elsif given.client_id is not null then
            keys := keys || key;
          end if;
        end if;
        if verdict is not null then
          refused := refused || given.ord;
          entry := null;
          entry.ord := given.ord;
          entry.outcome := verdict;
          return next;
        end if;
      end loop;

      if cardinality(refused) > 0 then
        select coalesce(jsonb_agg(x), '[]') into creations
          from jsonb_array_elements(creations) x where (x->>'ord')::integer <> all (refused);
      end if;
      return query select a, null::integer from city_append(creations, changes) a;
    end $$;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
