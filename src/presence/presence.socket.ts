/** The presence events of a socket. */
import type { PRESENCE_CLIENT_EVENTS } from '../contract/events.ts';
import type { Gateway } from '../platform/gateway.ts';
import type { PresenceSocket } from '../platform/io.ts';
import type { Presence } from './presence.service.ts';

interface AttachDeps {
  presence: Presence;
  gateway: Gateway<PresenceSocket, typeof PRESENCE_CLIENT_EVENTS>;
}

/** Registers the presence events; the connection itself is for `presence.connect`. */
export function attachPresence({ presence, gateway }: AttachDeps): void {
  gateway.on(
    'presence.heartbeat',
    { limit: 'presence', dropOverLimit: true },
    ({ socket, payload, isDropped }) => presence.heartbeat(socket, payload, isDropped),
  );
  gateway.on('presence.offline', { limit: 'read' }, async ({ socket }) => {
    await presence.offline(socket);
    return {};
  });
  gateway.on('presence.subscribe', { limit: 'read' }, ({ socket, payload }) =>
    presence.subscribe(socket, payload),
  );
  gateway.on('presence.unsubscribe', { limit: 'read' }, ({ socket, payload }) =>
    presence.unsubscribe(socket, payload),
  );
}
