/** What the feed says about one user, and their timeline. */
import { change, rowsOf } from '../me/personal-data.ts';
import type { Forget } from '../me/personal-data.ts';
import { FEED_EVENT } from './feed.repo.ts';

export const feedSections = [
  // By what they are about: events are too many to be looked through for a user.
  rowsOf(
    'feed_events',
    { a: '', b: 0 },
    `with messages as materialized (
       select id, room_id, seq from city_room_messages
       where sender_id = :user and (room_id, seq) > (:a, :b) order by room_id, seq limit :limit
     ), rooms as materialized (
       select id from city_rooms where created_by = :user and (id, 0) > (:a, :b) order by id limit :limit
     )
     select m.room_id a, m.seq b, e.id is null as missing, ${FEED_EVENT}
     from messages m left join city_feed_events e on e.message_id = m.id and e.removed_at is null
     union all
     select r.id, 0, e.id is null, ${FEED_EVENT}
     from rooms r left join city_feed_events e
       on e.room_id = r.id and e.kind = 'room_created' and e.removed_at is null and e.user_id = :user
     order by a, b limit :limit`,
  ),
];

/** Empties the timeline. The events of messages go with the messages, those of rooms with the rooms' creator. */
export const forgetTimeline: Forget = ({ db }, { userId }, size) =>
  change(db, {
    table: 'city_timelines',
    act: 'delete from city_timelines',
    where: 'user_id = :userId',
    userId,
    size,
  });
