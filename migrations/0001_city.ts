/** The city's tables: rooms and their logs, members, feed and timelines, Second Me. */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create table city_users (
      id text primary key,
      name text null,
      created_at timestamptz(3) not null default now(),
      updated_at timestamptz(3) not null default now()
    );

    create table city_rooms (
      id text primary key,
      slug text not null unique,
      name text not null,
      description text null,
      is_default boolean not null default false,
      created_at timestamptz(3) not null default now(),
      created_by text null
    );
    create index city_rooms_listing on city_rooms (is_default desc, lower(name), id);

    -- One row a room, rewritten by every change: apart from city_rooms so that listing rooms meets no churn.
    -- The row lock on it is what makes seq and change_seq gap-free and in commit order.
    create table city_room_heads (
      room_id text primary key references city_rooms(id) on delete cascade,
      last_seq bigint not null default 0,
      last_change_seq bigint not null default 0,
      last_event_at timestamptz(3) null
    ) with (fillfactor = 50);

    create table city_room_messages (
      id text primary key,
      room_id text not null references city_rooms(id) on delete cascade,
      author_user_id text null,
      author_agent_id text null,
      body text not null,
      created_at timestamptz(3) not null default now(),
      seq bigint not null,
      change_seq bigint not null,
      username text not null,
      sender_id text not null,      -- the token's subject: a service, where an agent is the author
      client_id text null,
      sent_hash bytea null,         -- sha256 of the body as first sent, where there is a client_id
      edited_at timestamptz(3) null,
      deleted_at timestamptz(3) null,
      author_id text not null generated always as (coalesce(author_agent_id, author_user_id)) stored
    );
    create unique index city_room_messages_seq on city_room_messages (room_id, seq);
    create unique index city_room_messages_change_seq on city_room_messages (room_id, change_seq);
    create unique index city_room_messages_client_id on city_room_messages (room_id, author_id, client_id)
      where client_id is not null;

    create table city_room_members (
      room_id text not null references city_rooms(id) on delete cascade,
      user_id text not null,
      joined_at timestamptz(3) not null default now(),
      -- The first feed event (city_feed_events.n) that this member's timeline holds of the room; null: none yet.
      timeline_from bigint null,
      primary key (room_id, user_id)
    );
    create index city_room_members_user on city_room_members (user_id, room_id);

    create table city_read_marks (
      user_id text not null,
      room_id text not null references city_rooms(id) on delete cascade,
      last_read_seq bigint not null,
      primary key (user_id, room_id)
    ) with (fillfactor = 70);

    create table city_feed_events (
      id text primary key,
      kind text not null,
      room_id text null references city_rooms(id) on delete set null,
      user_id text null,
      agent_id text null,
      payload jsonb not null,
      created_at timestamptz(3) not null default now(),
      n bigint generated always as identity,   -- order of the feed; within one room also the order of commits
      message_id text null,
      removed_at timestamptz(3) null,
      -- The transaction of the last thing that live subscribers must hear of (insertion or removal):
      -- what lies below the oldest running transaction is complete and can be read once, in order.
      tx xid8 not null default pg_current_xact_id()
    );
    create unique index city_feed_events_n on city_feed_events (n);
    create index city_feed_events_city on city_feed_events (n desc) where removed_at is null;
    create index city_feed_events_kind on city_feed_events (kind, n desc) where removed_at is null;
    create index city_feed_events_room on city_feed_events (room_id, n desc) where removed_at is null;
    create index city_feed_events_room_kind on city_feed_events (room_id, kind, n desc) where removed_at is null;
    create index city_feed_events_tx on city_feed_events (tx, n);
    create unique index city_feed_events_message on city_feed_events (message_id) where message_id is not null;

    -- Timelines hold a room up to the watermark upto_n; what lies above it is merged when a timeline is read.
    create table city_timelines (
      user_id text not null,
      event_n bigint not null,
      room_id text not null references city_rooms(id) on delete cascade,
      primary key (user_id, event_n)
    );
    create index city_timelines_room on city_timelines (room_id, user_id);   -- for the deletion of a room
    create table city_timeline_marks (
      room_id text primary key references city_rooms(id) on delete cascade,
      upto_n bigint not null default 0
    );

    create table secondme_sessions (
      id text primary key,
      user_id text not null,
      created_at timestamptz(3) not null default now()
    );
    create unique index secondme_sessions_user on secondme_sessions (user_id);

    create table secondme_messages (
      id text primary key,
      session_id text not null references secondme_sessions(id) on delete cascade,
      user_id text not null,
      role text not null check (role in ('user', 'assistant')),
      content text not null,
      created_at timestamptz(3) not null default now(),
      n bigint generated always as identity,
      invocation_id text not null
    );
    create index secondme_messages_session on secondme_messages (session_id, n desc);
    create unique index secondme_messages_invocation on secondme_messages (invocation_id, role);

    create table secondme_invocations (
      id text primary key,
      user_id text not null,
      session_id text null references secondme_sessions(id) on delete set null,
      idempotency_key text null,
      prompt text not null,
      status text not null check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
      attempt integer not null default 0,        -- the fence: a result counts only for the attempt that holds it
      lease_until timestamptz(3) null,           -- until when the running attempt is believed alive
      reply text null,
      tokens_used integer null,
      latency_ms integer null,
      fallback boolean not null default false,
      error text null,
      created_at timestamptz(3) not null default now(),
      finished_at timestamptz(3) null
    );
    create unique index secondme_invocations_key on secondme_invocations (user_id, idempotency_key)
      where idempotency_key is not null;
    create index secondme_invocations_active on secondme_invocations (user_id, created_at, id)
      where status in ('queued', 'running');
    create index secondme_invocations_session on secondme_invocations (session_id) where finished_at is not null;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
