/** REST: the city feed. */
import type { Route } from '../platform/http.ts';
import type { Feed } from './feed.service.ts';

/** Registers `GET /city/feed`. */
export function feedRoutes(route: Route, feed: Feed): void {
  route('listFeed', async ({ caller, query }) => ({ body: await feed.list(caller, query) }));
}
