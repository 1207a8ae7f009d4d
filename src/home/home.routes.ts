/** The city's front page in one call. */
import type { Feed } from '../feed/feed.service.ts';
import { isTemporary } from '../platform/errors.ts';
import type { Route } from '../platform/http.ts';
import type { Presence } from '../presence/presence.service.ts';
import type { Rooms } from '../rooms/rooms.service.ts';
import type { Users } from '../users/users.service.ts';

const ROOMS = 100;
const EVENTS = 20;
const PEOPLE = 500;

interface HomeDeps {
  rooms: Rooms;
  feed: Feed;
  presence: Presence;
  users: Users;
}

export function homeRoutes(route: Route, { rooms, feed, presence, users }: HomeDeps): void {
  /** As Redis says; without it, as this node knows. */
  const whoIsHere = () =>
    presence.list(PEOPLE).catch((error: unknown) => {
      if (!isTemporary(error)) throw error;
      const users = [...presence.present().values()];
      const away = users.filter(({ status }) => status === 'away').length;
      return { users: users.slice(0, PEOPLE), online: users.length - away, away };
    });

  route('home', async ({ caller }) => {
    const [list, events, here, totals] = await Promise.all([
      rooms.list(caller, { limit: ROOMS, offset: 0 }),
      feed.list(caller, { limit: EVENTS, scope: 'city' }),
      whoIsHere(),
      rooms.totals(),
    ]);
    const { online, away } = here;
    const named = await users.named(here.users);
    const rest = JSON.stringify({ feed: events, online: named, totals: { ...totals, online, away } });
    return { json: `{"rooms":${list},${rest.slice(1)}` };
  });
}
