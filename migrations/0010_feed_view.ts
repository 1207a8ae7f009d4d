/**
 * The feed is a view of the log: a message is its own event, with its place in the feed (`feed_n`) beside its seq, and
 * only what is no message has a row of its own (`city_events`). So a message is stored once, and nothing of it has to
 * be kept in step.
 *
 * Places come from one sequence, and are taken by transactions that have an id already. Hence whoever reads the
 * sequence and takes an id next knows that up to the place it read nothing can appear any more once the transactions
 * with lower ids have ended; live readers rest on that (city_feed_mark). Within a room places rise with seq, which has
 * no gaps, so that the seq at a place is found by halving (city_seq_at) and needs no index.
 *
 * What was stored before is moved in this transaction, during which nobody can write: a minute or two for a million
 * messages. Nodes of the version before cannot run on what it makes.
 */
import type { Knex } from 'knex';

/** As long as it takes: connections give up earlier otherwise. */
const PATIENCE_MS = 6 * 3_600_000;

export async function up(db: Knex): Promise<void> {
  await db
    .raw(
      `
    set local statement_timeout = 0;
    create sequence city_feed_places;
    create function city_next_place() returns bigint language sql volatile as $$
      select case when pg_current_xact_id() is not null then nextval('city_feed_places') end
    $$;

    -- What happens in the city besides messages.
    create table city_events (
      id text primary key,
      kind text not null,
      room_id text null,
      user_id text null,
      agent_id text null,
      payload jsonb not null,
      created_at timestamptz(3) not null default now(),
      n bigint not null unique default city_next_place()
    );
    create index city_events_room on city_events (room_id) where room_id is not null;

    -- What live subscribers must hear of: events that disappeared, each with a place of its own.
    create table city_feed_removals (
      n bigint primary key default city_next_place(),
      event_id text not null,
      event_n bigint not null,   -- where it was
      room_id text null
    );
    create index city_feed_removals_event on city_feed_removals (event_id);

    -- Retention: the feed begins at this place.
    create table city_feed_start (n bigint not null);

    alter table city_room_messages add column feed_n bigint null;
    update city_room_messages m set feed_n = e.n from city_feed_events e where e.message_id = m.id;
    -- Retention had taken their events, which were the oldest.
    update city_room_messages m set feed_n = o.k - o.total - 1
      from (select id, row_number() over (order by room_id, seq) k, count(*) over () total
            from city_room_messages where feed_n is null) o
      where o.id = m.id;
    -- The seeds gave the number of the first message to another event.
    update city_feed_events set id = 'evt_city_00000000000000000000000000'
      where id = 'evt_city_00000000000000000000000001' and message_id is null;
    insert into city_events
      select id, kind, room_id, user_id, agent_id, payload, created_at, n from city_feed_events
      where message_id is null and removed_at is null;
    insert into city_feed_start select coalesce(min(n), 0) from city_feed_events;
    select setval('city_feed_places', coalesce(max(n), 0) + 1) from city_feed_events;
    drop table city_feed_events;

    alter table city_room_messages
      alter column feed_n set default city_next_place(),
      alter column feed_n set not null;
    create function city_event_id(message_id text) returns text language sql immutable as $$
      select 'evt_city_' || substr(message_id, 8)
    $$;
    create function city_event_kind(agent_id text) returns text language sql immutable as $$
      select case when agent_id is null then 'room_message' else 'agent_reply' end
    $$;
    create unique index city_room_messages_feed on city_room_messages (feed_n)
      include (room_id, author_agent_id, deleted_at);
    create index city_room_messages_replies on city_room_messages (feed_n)
      include (room_id, author_agent_id, deleted_at) where city_event_kind(author_agent_id) = 'agent_reply';
    create index city_room_messages_room_replies on city_room_messages (room_id, seq)
      include (feed_n, author_agent_id, deleted_at) where city_event_kind(author_agent_id) = 'agent_reply';

    -- A planner reads pages of it from the indexes, in their order, as long as the two halves have no conditions of their
    -- own and agree in their types to the letter.
    create view city_feed_events as
      select * from (
        select city_event_id(id) id, city_event_kind(author_agent_id) kind, room_id,
               case when author_agent_id is null then author_user_id end user_id, author_agent_id agent_id,
               city_feed_payload(id, body, username) payload, created_at, feed_n n, seq, id message_id,
               deleted_at removed_at
        from city_room_messages
        union all
        -- A room is created before its first message.
        select id, kind, room_id, user_id, agent_id, payload, created_at, n, 0::bigint, null::text, null::timestamptz(3)
        from city_events
      ) e where n >= (select n from city_feed_start);

    -- It takes events as the table before it did: an operator announces something with kind 'system'.
    create function city_add_event() returns trigger language plpgsql as $$
    begin
      insert into city_events (id, kind, room_id, user_id, agent_id, payload, created_at)
        values (new.id, new.kind, new.room_id, new.user_id, new.agent_id, new.payload, coalesce(new.created_at, now()));
      return new;
    end $$;
    create trigger city_feed_events_insert instead of insert on city_feed_events
      for each row execute function city_add_event();

    -- The last seq of a room from low to high whose place is below the given; low, where there is none.
    create function city_seq_at(room text, place bigint, low bigint, high bigint) returns bigint
    language plpgsql stable as $$
    declare
      middle bigint := high;   -- the newest first, which is often old enough
    begin
      if place <= 0 then
        return low;
      end if;
      while low < high loop
        if (select feed_n from city_room_messages where room_id = room and seq = middle) < place then
          low := middle;
        else
          high := middle - 1;
        end if;
        middle := (low + high + 1) / 2;
      end loop;
      return low;
    end $$;

    -- Whoever has a place up to n has a transaction below tx; tx is null when n is not above since. (The end of a
    -- snapshot would be too low: it is behind the last transaction that ended, not the last that began.)
    create function city_feed_mark(since bigint, out n bigint, out tx xid8) language plpgsql as $$
    begin
      select last_value into n from city_feed_places;
      if n > since then
        tx := pg_current_xact_id();
      end if;
    end $$;

    create function city_unfeed(message_ids text[]) returns void language sql as $$
      insert into city_feed_removals (event_id, event_n, room_id)
        select city_event_id(id), feed_n, room_id from city_room_messages where id = any(message_ids)
        order by feed_n
    $$;

    -- The timelines fill again by themselves. A room's creation has seq 0.
    truncate city_timelines, city_timeline_marks;
    update city_room_members set timeline_from = null where timeline_from is not null;
    alter table city_timeline_marks drop column upto_n, add column upto_seq bigint not null default -1;

    -- As before, but that nothing is copied to the feed (0004, 0008, 0007).
    drop function city_post, city_post_one;
    create or replace function city_append(creations jsonb, changes jsonb) returns setof city_append_result
    language plpgsql as $$
    declare
      change record;
      found_message city_room_messages;
      head city_room_heads;
    begin
      perform from city_room_heads
        where room_id in (select x->>'room_id' from jsonb_array_elements(creations || changes) x)
        order by room_id for update;

      if jsonb_array_length(creations) > 0 then
        return query
        with given as (
          select c.*, coalesce(c.author_agent_id, c.author_user_id) author_id,
                 case when c.client_id is not null then sha256(convert_to(c.body, 'UTF8')) end sent_hash
          from jsonb_to_recordset(creations) c(ord integer, id text, room_id text, sender_id text,
               author_user_id text, author_agent_id text, username text, body text, client_id text)
        ), earlier as (
          -- The limit keeps this a lookup by index for each entry, however long the history.
          select g.ord, m.message, m.outcome
          from given g cross join lateral (
            -- Committed before an answer that was lost: for its sender, and for the announcement, just created.
            select m message, 'created' outcome from city_room_messages m where m.id = g.id
            union all
            select m, case when m.sent_hash = g.sent_hash then 'repeated' else 'mismatch' end from city_room_messages m
            where m.room_id = g.room_id and m.author_id = g.author_id and m.client_id = g.client_id
            limit 1
          ) m
        ), first_of_key as (
          select g.*, first_value(g.ord) over same leader, first_value(g.sent_hash) over same leader_hash
          from given g where not exists (select from earlier e where e.ord = g.ord)
          window same as (partition by g.room_id, g.author_id, coalesce(g.client_id, g.id) order by g.ord)
        ), numbered as (
          select f.*, h.last_seq + row_number() over room seq, h.last_change_seq + row_number() over room change_seq,
                 greatest(clock_timestamp()::timestamptz(3), h.last_event_at) created_at
          from first_of_key f join city_room_heads h using (room_id)
          where f.leader = f.ord
          window room as (partition by f.room_id order by f.ord)
        ), stored as (
          insert into city_room_messages (id, room_id, author_user_id, author_agent_id, body, created_at, seq,
                 change_seq, username, sender_id, client_id, sent_hash)
          select id, room_id, author_user_id, author_agent_id, body, created_at, seq,
                 change_seq, username, sender_id, client_id, sent_hash
          from numbered order by room_id, seq
          returning *
        ), moved as (
          update city_room_heads h
          set last_seq = n.seq, last_change_seq = n.change_seq, last_event_at = n.created_at
          from (select distinct on (room_id) room_id, seq, change_seq, created_at
                from numbered order by room_id, seq desc) n
          where h.room_id = n.room_id
        ), joined as (
          insert into city_room_members (room_id, user_id)
          select distinct room_id, sender_id from numbered where sender_id not like 'ag\\_%' order by room_id, sender_id
          on conflict do nothing
        ), marked as (
          insert into city_read_marks as r (user_id, room_id, last_read_seq)
          select sender_id, room_id, max(seq) from numbered where sender_id not like 'ag\\_%' group by 1, 2 order by 1, 2
          on conflict (user_id, room_id)
          do update set last_read_seq = greatest(r.last_read_seq, excluded.last_read_seq)
        )
        select n.ord, 'created', row(s.*)::city_room_messages from numbered n join stored s using (id)
        union all
        select f.ord, case when f.sent_hash = f.leader_hash then 'repeated' else 'mismatch' end, row(s.*)::city_room_messages
        from first_of_key f join numbered n on n.ord = f.leader join stored s on s.id = n.id
        where f.leader <> f.ord
        union all
        select e.ord, e.outcome, e.message from earlier e
        union all
        select f.ord, 'no_room', null::city_room_messages
        from first_of_key f where not exists (select from city_room_heads h where h.room_id = f.room_id);
      end if;

      for change in
        select * from jsonb_to_recordset(changes)
          c(ord integer, id uuid, kind text, room_id text, message_id text, body text)
        order by c.ord
      loop
        select * into found_message from city_room_messages m
          where m.id = change.message_id and m.room_id = change.room_id;
        if not found then
          return next (change.ord, 'no_message', null::city_room_messages)::city_append_result;
        elsif change.id = any(found_message.change_ids) then
          -- Committed before an answer that was lost: for its sender, and for the announcement, just changed.
          return next (change.ord, 'changed', found_message)::city_append_result;
        elsif change.kind = 'edit' and found_message.deleted_at is not null then
          return next (change.ord, 'gone', found_message)::city_append_result;
        elsif change.kind = 'edit' and found_message.body = change.body
           or change.kind = 'delete' and found_message.deleted_at is not null then
          return next (change.ord, 'unchanged', found_message)::city_append_result;
        else
          update city_room_heads h set last_change_seq = last_change_seq + 1
            where h.room_id = change.room_id returning * into head;
          update city_room_messages m set
              change_seq = head.last_change_seq,
              change_ids = case when change.id is null then m.change_ids
                                else (array_prepend(change.id, m.change_ids))[1:64] end,
              body = case when change.kind = 'edit' then change.body else '' end,
              edited_at = case when change.kind = 'edit' then clock_timestamp() else m.edited_at end,
              deleted_at = case when change.kind = 'delete' then clock_timestamp() end
            where m.id = change.message_id returning * into found_message;
          if change.kind = 'delete' then
            perform city_unfeed(array[found_message.id]);
          end if;
          return next (change.ord, 'changed', found_message)::city_append_result;
        end if;
      end loop;
    end $$;

    create function city_post(
      rooms text[], counts integer[],
      at_room integer[], nth integer[], ids text[], senders text[], agents text[], usernames text[],
      bodies text[], client_ids text[],
      out last_seqs bigint[], out last_change_seqs bigint[], out times bigint[])
    language plpgsql as $$
    declare
      moments timestamptz(3)[];
    begin
      -- A statement of its own: those that follow see all that was committed before the locks were granted.
      with locked as materialized (
        select * from city_room_heads where room_id = any (rooms) order by room_id for update
      )
      select array_agg(h.last_seq order by r.n), array_agg(h.last_change_seq order by r.n),
             array_agg(greatest(clock_timestamp()::timestamptz(3), h.last_event_at) order by r.n)
        into last_seqs, last_change_seqs, moments
        from unnest(rooms) with ordinality r(id, n) join locked h on h.room_id = r.id;

      if cardinality(last_seqs) is distinct from cardinality(rooms)
         or exists (select from city_rooms r where r.id = any (rooms) and r.slow_mode_s > 0)
         or exists (select from unnest(at_room, senders) e(room, sender)
                    join city_room_restrictions r on r.room_id = rooms[e.room] and r.user_id = e.sender) then
        last_seqs := null;
        last_change_seqs := null;
        return;
      end if;

      with given as (
        select e.*, rooms[e.room] room_id, case when e.agent is null then e.sender end user_id,
               last_seqs[e.room] + e.nth seq, last_change_seqs[e.room] + e.nth change_seq, moments[e.room] created_at
        from unnest(at_room, nth, ids, senders, agents, usernames, bodies, client_ids)
          e(room, nth, id, sender, agent, username, body, client_id)
      ), stored as (
        insert into city_room_messages (id, room_id, author_user_id, author_agent_id, body, created_at, seq,
               change_seq, username, sender_id, client_id, sent_hash)
        select id, room_id, user_id, agent, body, created_at, seq, change_seq, username, sender, client_id,
               case when client_id is not null then sha256(convert_to(body, 'UTF8')) end
        from given
      ), moved as (
        update city_room_heads h
        set last_seq = h.last_seq + r.count, last_change_seq = h.last_change_seq + r.count, last_event_at = r.moment
        from unnest(rooms, counts, moments) r(room_id, count, moment) where h.room_id = r.room_id
      ), joined as (
        insert into city_room_members (room_id, user_id)
        select distinct room_id, sender from given g
        where sender not like 'ag\\_%'
          and not exists (select from city_room_members m where m.room_id = g.room_id and m.user_id = g.sender)
        order by 1, 2 on conflict do nothing
      )
      insert into city_read_marks as r (user_id, room_id, last_read_seq)
        select sender, room_id, max(seq) from given where sender not like 'ag\\_%' group by 1, 2 order by 1, 2
        on conflict (user_id, room_id)
        do update set last_read_seq = greatest(r.last_read_seq, excluded.last_read_seq);

      times := array(select 1000 * extract(epoch from moment) from unnest(moments) moment);
    exception when unique_violation then
      last_seqs := null;
      last_change_seqs := null;
    end $$;

    -- The same for a batch of one, as plain statements.
    create function city_post_one(
      room text, new_id text, sender text, agent text, username text, body text, client_id text,
      out last_seqs bigint[], out last_change_seqs bigint[], out times bigint[])
    language plpgsql as $$
    #variable_conflict use_variable
    declare
      head city_room_heads;
      author text := case when agent is null then sender end;
      is_person boolean := sender not like 'ag\\_%';
      is_member boolean;
      is_unusual boolean;
    begin
      update city_room_heads h set last_seq = h.last_seq + 1, last_change_seq = h.last_change_seq + 1,
          last_event_at = greatest(clock_timestamp()::timestamptz(3), h.last_event_at)
        where h.room_id = room returning * into head;
      if not found then
        return;
      end if;
      -- A statement of its own: it sees all that was committed before the lock on the head was granted.
      select exists (select from city_rooms r where r.id = room and r.slow_mode_s > 0)
             or exists (select from city_room_restrictions r where r.room_id = room and r.user_id = sender),
             exists (select from city_room_members m where m.room_id = room and m.user_id = sender)
        into is_unusual, is_member;
      if is_unusual then
        raise unique_violation;
      end if;

      insert into city_room_messages (id, room_id, author_user_id, author_agent_id, body, created_at, seq,
             change_seq, username, sender_id, client_id, sent_hash)
        values (new_id, room, author, agent, body, head.last_event_at, head.last_seq,
                head.last_change_seq, username, sender, client_id,
                case when client_id is not null then sha256(convert_to(body, 'UTF8')) end);
      if is_person and not is_member then
        insert into city_room_members (room_id, user_id) values (room, sender) on conflict do nothing;
      end if;
      if is_person then
        update city_read_marks r set last_read_seq = greatest(r.last_read_seq, head.last_seq)
          where r.user_id = sender and r.room_id = room;
        if not found then
          insert into city_read_marks as r (user_id, room_id, last_read_seq) values (sender, room, head.last_seq)
            on conflict (user_id, room_id)
            do update set last_read_seq = greatest(r.last_read_seq, excluded.last_read_seq);
        end if;
      end if;
      last_seqs := array[head.last_seq - 1];
      last_change_seqs := array[head.last_change_seq - 1];
      times := array[1000 * extract(epoch from head.last_event_at)];
    exception when unique_violation then
      last_seqs := null;   -- and the head is as it was
    end $$;

    create or replace function city_erase_messages(room text, first_seq bigint, sender text, alias text, alias_name text, size integer)
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
      -- Of those that are deleted already they were told then.
      perform city_unfeed(array(select id from city_room_messages where id = any(ids) and deleted_at is null));
      update city_room_messages m set
          body = '', username = alias_name, sender_id = alias,
          author_user_id = case when m.author_user_id is not null then alias end,
          client_id = null, sent_hash = null, change_ids = null,
          deleted_at = coalesce(m.deleted_at, clock_timestamp()),
          change_seq = coalesce(head.last_change_seq + b.k, m.change_seq)
        from unnest(ids) with ordinality b(id, k) where m.id = b.id;
      update city_room_heads set last_change_seq = last_change_seq + cardinality(ids) where room_id = room;
      return cardinality(ids);
    end $$;
  `,
    )
    .options({ query_timeout: PATIENCE_MS });
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
