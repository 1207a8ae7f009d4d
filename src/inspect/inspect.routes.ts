/** What the inspector reads over REST. */
import type { Route } from '../platform/http.ts';
import type { Inspect } from './inspect.service.ts';

export function inspectRoutes(route: Route, inspect: Inspect): void {
  route('inspectRooms', async ({ query }) => ({ body: await inspect.rooms(query.room_id) }));
}
