/** Deletes feed events that are older than the city keeps them, and what timelines hold of them. Nobody is told. */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/** Deletes up to `size` of the oldest events, as far as they are older than `days`; false when there are no more. */
export async function deleteOldEvents(db: Db, days: number, size: number): Promise<boolean> {
  const [done] = await rows<{ n: number }>(
    db,
    `with oldest as materialized (
       select n, created_at from city_feed_events order by n limit :size for update skip locked
     ), gone as (
       delete from city_feed_events where n in (
         select n from oldest where created_at < now() - make_interval(days => :days)) returning 1
     ) select count(*) n from gone`,
    { days, size },
  );
  return done!.n > 0;
}

const USERS = 100;

/**
 * Deletes what the timelines of the next hundred users hold from before the oldest event, at most `size` rows of each;
 * nothing of it is ever read. The user to go on after, null when there are no more.
 */
export async function trimTimelines(db: Db, after: string, size: number): Promise<string | null> {
  const [done] = await rows<{ last: string | null; deleted: number }>(
    db,
    // From user to user by the index, past all that each of them has.
    `with recursive users (id) as (
       (select user_id from city_timelines where user_id > :after order by user_id limit 1)
       union all
       select (select t.user_id from city_timelines t where t.user_id > u.id order by t.user_id limit 1)
       from users u where u.id is not null
     ), some_users as materialized (select id from users where id is not null limit :users),
     doomed as (
       select t.ctid from some_users u cross join lateral (
         select ctid from city_timelines t
         where t.user_id = u.id and t.event_n < coalesce((select min(n) from city_feed_events), 9223372036854775807)
         limit :size
       ) t
     ), gone as (delete from city_timelines where ctid in (select ctid from doomed) returning 1)
     select (select max(id) from some_users) last, (select count(*) from gone) deleted`,
    { after, size, users: USERS },
  );
  const { last, deleted } = done!;
  return deleted > 0 ? after : last;
}
