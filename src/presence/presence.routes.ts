/** The REST calls about presence. */
import type { Route } from '../platform/http.ts';
import type { Presence } from './presence.service.ts';

const LIST_MAX = 500;

/** Registers who is online, and the presence of one user. */
export function presenceRoutes(route: Route, presence: Presence): void {
  route('listPresence', async () => ({ body: await presence.list(LIST_MAX) }));
  route('getPresence', async ({ params }) => ({ body: await presence.get(params.user_id) }));
}
