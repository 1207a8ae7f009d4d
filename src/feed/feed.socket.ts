/** Socket.IO: subscriptions to the live feed. */
import type { ROOMS_CLIENT_EVENTS } from '../contract/events.ts';
import type { Gateway } from '../platform/gateway.ts';
import type { RoomsSocket } from '../platform/io.ts';
import type { FeedHub } from './feed.hub.ts';

interface FeedSocketDeps {
  hub: FeedHub;
  gateway: Gateway<RoomsSocket, typeof ROOMS_CLIENT_EVENTS>;
}

/** Registers `feed.subscribe` and `feed.unsubscribe`. */
export function attachFeed({ hub, gateway }: FeedSocketDeps): void {
  gateway.on('feed.subscribe', { limit: 'read' }, async ({ socket, payload }) => {
    await hub.subscribe(socket, payload.scope);
    return {};
  });
  gateway.on('feed.unsubscribe', { limit: 'read' }, ({ socket, payload }) => {
    hub.unsubscribe(socket, payload.scope);
    return {};
  });
}
