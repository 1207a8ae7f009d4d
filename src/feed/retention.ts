/** Forgets feed events that are older than the city keeps them, and what timelines hold of them. Nobody is told. */
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';

/**
 * Lets the feed begin behind up to `size` of its oldest events, as far as they are older than `days`; false when there
 * are no more. What is no message is deleted with what lies in front of the beginning, and what was removed there.
 */
export async function dropOldEvents(db: Db, days: number, size: number): Promise<boolean> {
  const [done] = await rows<{ more: boolean }>(
    db,
    `with oldest as materialized (
       select n, created_at < now() - make_interval(days => :days) as old
       from city_feed_events order by n limit :size
     ), start as materialized (
       select coalesce(min(n) filter (where not old), max(n) + 1) n from oldest having bool_or(old)
     ), moved as (
       update city_feed_start f set n = s.n from start s where s.n > f.n returning f.n
     ), feed as materialized (
       select max(n) n from (select n from start union all select n from city_feed_start) begins
     ), events as (
       delete from city_events where n in (
         select e.n from city_events e where e.n < (select n from feed) order by e.n limit :size) returning 1
     ), removals as (
       delete from city_feed_removals where n in (
         select r.n from city_feed_removals r where r.n < (select n from feed) order by r.n limit :size) returning 1
     )
     select exists (select from moved) or exists (select from events) or exists (select from removals) more`,
    { days, size },
  );
  return done!.more;
}

const USERS = 100;

/**
 * Deletes what the timelines of the next hundred users hold from in front of the feed, at most `size` rows of each;
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
         where t.user_id = u.id and t.event_n < (select n from city_feed_start)
         limit :size
       ) t
     ), gone as (delete from city_timelines where ctid in (select ctid from doomed) returning 1)
     select (select max(id) from some_users) last, (select count(*) from gone) deleted`,
    { after, size, users: USERS },
  );
  const { last, deleted } = done!;
  return deleted > 0 ? after : last;
}
