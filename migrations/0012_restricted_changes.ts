/**
 * What keeps somebody from writing keeps them from changing what they wrote, also where the restriction is committed while
 * the change waits for the room's lock: a change says by whom it is (`by`), and whoever is banned, or muted and edits, is
 * answered so. Nodes of the version before name nobody, and go by what they looked up before.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    create or replace function city_send(creations jsonb, changes jsonb)
      returns table (entry city_append_result, retry_after_ms integer)
    language plpgsql as $$
    declare
      rooms text[];
      refused jsonb;   -- kinds of restrictions by ord
    begin
      -- As city_append does it, which then finds them locked. What ended while this waited is not among them.
      with locked as materialized (
        select room_id from city_room_heads
        where room_id in (select x->>'room_id' from jsonb_array_elements(creations || changes) x)
        order by room_id for update
      )
      select coalesce(array_agg(room_id), '{}') into rooms from locked;

      return query
        select ((x->>'ord')::integer, 'no_room', null::city_room_messages)::city_append_result, null::integer
        from jsonb_array_elements(creations || changes) x where x->>'room_id' <> all (rooms);

      -- A ban weighs more than a mute, which leaves deletions to the muted. What was committed before an answer that was
      -- lost is answered again.
      select coalesce(jsonb_object_agg(ord, kind), '{}') into refused from (
        select x->>'ord' ord, min(r.kind) kind
        from jsonb_array_elements(changes) x
        join city_restrictions_in_force r on r.room_id = x->>'room_id' and r.user_id = x->>'by'
        where x->>'room_id' = any (rooms) and (r.kind = 'ban' or x->>'kind' = 'edit')
          and not exists (select from city_room_messages m
                          where m.id = x->>'message_id' and (x->>'id')::uuid = any (m.change_ids))
        group by 1
      ) restricted;
      return query
        select (ord::integer, case kind when 'ban' then 'banned' else 'muted' end,
                null::city_room_messages)::city_append_result, null::integer
        from jsonb_each_text(refused) r (ord, kind);

      return query
        select s.* from city_send_in_rooms(
          (select coalesce(jsonb_agg(x), '[]') from jsonb_array_elements(creations) x where x->>'room_id' = any (rooms)),
          (select coalesce(jsonb_agg(x), '[]') from jsonb_array_elements(changes) x
           where x->>'room_id' = any (rooms) and refused->>(x->>'ord') is null)
        ) s;
    end $$;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
