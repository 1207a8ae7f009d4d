/** Presence on the Matrix homeserver, and in the city with it. */
import type { Route } from '../platform/http.ts';
import type { Presence } from '../presence/presence.service.ts';
import type { MatrixClient } from './matrix.client.ts';

const CITY_STATUS = { online: 'online', unavailable: 'away', offline: 'offline' } as const;

export function matrixRoutes(
  route: Route,
  { matrix, presence }: { matrix: MatrixClient; presence: Presence },
): void {
  route('setMatrixPresence', async ({ caller, body }) => {
    await matrix.setPresence(body);
    await presence.setFromOutside(caller.id, 'matrix', CITY_STATUS[body.status]);
    return { body: { ok: true, matrix_user_id: body.matrix_user_id, status: body.status } };
  });
}
