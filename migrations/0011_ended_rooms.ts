/**
 * Nothing is stored in a room that has ended. Its messages and its row are there until the purge takes them, and to an
 * edit, a deletion or a message in slow mode that waited for the room's lock they looked like a room that exists.
 *
 * So who exists is asked once, at the door: `city_send` answers `no_room` for what is for other rooms, and hands the rest
 * to the function that had its name, which may now take the heads for granted, as may `city_append` behind it. What they
 * do is told in 0005 and 0010 and not a third time here. Nodes of the version before call the new one under the old name.
 */
import type { Knex } from 'knex';

export async function up(db: Knex): Promise<void> {
  await db.raw(`
    alter function city_send(jsonb, jsonb) rename to city_send_in_rooms;

    create function city_send(creations jsonb, changes jsonb)
      returns table (entry city_append_result, retry_after_ms integer)
    language plpgsql as $$
    declare
      rooms text[];
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
      return query
        select s.* from city_send_in_rooms(
          (select coalesce(jsonb_agg(x), '[]') from jsonb_array_elements(creations) x where x->>'room_id' = any (rooms)),
          (select coalesce(jsonb_agg(x), '[]') from jsonb_array_elements(changes) x where x->>'room_id' = any (rooms))
        ) s;
    end $$;
  `);
}

export async function down(): Promise<void> {
  throw new Error('Migrations go forward only.');
}
