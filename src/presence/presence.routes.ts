/** The REST calls about presence. */
import type { Route } from '../platform/http.ts';
import type { Users } from '../users/users.service.ts';
import type { Presence } from './presence.service.ts';

const LIST_MAX = 500;

/** Registers who is online, and the presence of one user. */
export function presenceRoutes(route: Route, presence: Presence, users: Users): void {
  route('listPresence', async () => {
    const here = await presence.list(LIST_MAX);
    return { body: { ...here, users: await users.named(here.users) } };
  });
  route('getPresence', async ({ params }) => {
    const [found] = await users.named([await presence.get(params.user_id)]);
    return { body: found! };
  });
}
