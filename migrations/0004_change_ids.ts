/**
 * Changes are known by an id of their own: a message remembers the latest ones made to it, so that a batch that is
 * repeated after a lost answer finds what it has done already, also when somebody else changed the message in between.
 * Recognised by its result, as in 0002, such a repetition would have put an older edit on top of a newer one.
 *
 * 64 ids are more than a user's allowance of edits within the time of a repetition. city_append is otherwise that of
 * 0002, and takes changes without an id from nodes that do not send one yet.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table city_room_messages add column change_ids uuid[] null;   -- newest first

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
          from jsonb_to_recordset(creations) c(ord integer, id text, event_id text, room_id text, sender_id text,
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
          from numbered
          returning *
        ), fed as (
          insert into city_feed_events (id, kind, room_id, user_id, agent_id, payload, created_at, message_id)
          select event_id, case when author_agent_id is null then 'room_message' else 'agent_reply' end, room_id,
                 author_user_id, author_agent_id, city_feed_payload(id, body, username), created_at, id
          from numbered order by room_id, seq
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
          if change.kind = 'edit' then
            update city_feed_events e
              set payload = city_feed_payload(found_message.id, found_message.body, found_message.username)
              where e.message_id = found_message.id;
          else
            update city_feed_events e
              set removed_at = found_message.deleted_at, tx = pg_current_xact_id(), payload = '{}'
              where e.message_id = found_message.id;
          end if;
          return next (change.ord, 'changed', found_message)::city_append_result;
        end if;
      end loop;
    end $$;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
