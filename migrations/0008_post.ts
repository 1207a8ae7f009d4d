/**
 * The ordinary case of sending, for a fraction of the price: `city_post` stores a batch of new messages when nothing
 * about it is unusual, and otherwise does nothing and says so, for `city_send` (0005) to do the whole.
 *
 * Unusual are: a room that does not exist, is in slow mode, or has a sender under a restriction; and a client_id that
 * was used before, which the unique indexes find. So nothing is looked for in the history: what is sent for the first
 * time, as nearly everything is, pays no lookup.
 *
 * Two things that each message paid for go: the foreign key to the room, which the lock on the room's head makes
 * redundant (a room exists while it has a head, and its messages are purged before its row, 0005); and indexes of the
 * feed by kind over messages, which are nearly all of it. Pages of the city and of one room are still found in an
 * index alone.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter table city_room_messages drop constraint city_room_messages_room_id_fkey;
    create index city_rooms_slow on city_rooms (id) where slow_mode_s > 0;

    drop index city_feed_events_city, city_feed_events_kind, city_feed_events_room_kind, city_feed_events_room,
      city_feed_events_n;
    create unique index city_feed_events_n on city_feed_events (n) include (room_id, kind, removed_at);
    create index city_feed_events_room on city_feed_events (room_id, n) include (kind, removed_at);
    create index city_feed_events_rare on city_feed_events (kind, n) include (room_id, removed_at)
      where kind <> 'room_message';
    create index city_feed_events_room_rare on city_feed_events (room_id, kind, n) include (removed_at)
      where kind <> 'room_message';

    -- Entry i goes to the room rooms[at_room[i]] as its nth[i]-th new message of the batch; counts says how many each
    -- room gets. Answers for each room what its counters were before and the time that its messages have (epoch, ms);
    -- nulls when nothing was stored.
    create function city_post(
      rooms text[], counts integer[],
      at_room integer[], nth integer[], ids text[], event_ids text[], senders text[], agents text[], usernames text[],
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
        from unnest(at_room, nth, ids, event_ids, senders, agents, usernames, bodies, client_ids)
          e(room, nth, id, event_id, sender, agent, username, body, client_id)
      ), stored as (
        insert into city_room_messages (id, room_id, author_user_id, author_agent_id, body, created_at, seq,
               change_seq, username, sender_id, client_id, sent_hash)
        select id, room_id, user_id, agent, body, created_at, seq, change_seq, username, sender, client_id,
               case when client_id is not null then sha256(convert_to(body, 'UTF8')) end
        from given
      ), fed as (
        insert into city_feed_events (id, kind, room_id, user_id, agent_id, payload, created_at, message_id)
        select event_id, case when agent is null then 'room_message' else 'agent_reply' end, room_id, user_id, agent,
               city_feed_payload(id, body, username), created_at, id
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
      room text, new_id text, event_id text, sender text, agent text, username text, body text, client_id text,
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
      insert into city_feed_events (id, kind, room_id, user_id, agent_id, payload, created_at, message_id)
        values (event_id, case when agent is null then 'room_message' else 'agent_reply' end, room, author, agent,
                city_feed_payload(new_id, body, username), head.last_event_at, new_id);
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
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
