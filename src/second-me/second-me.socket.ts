/** Second Me over Socket.IO; replies come as events. */
import type { ROOMS_CLIENT_EVENTS } from '../contract/events.ts';
import type { Gateway } from '../platform/gateway.ts';
import type { RoomsSocket } from '../platform/io.ts';
import type { SecondMe } from './second-me.service.ts';

interface SecondMeSocketDeps {
  secondMe: SecondMe;
  gateway: Gateway<RoomsSocket, typeof ROOMS_CLIENT_EVENTS>;
}

export function attachSecondMe({ secondMe, gateway }: SecondMeSocketDeps): void {
  gateway.on('secondme.invoke', { limit: 'invoke' }, async ({ caller, payload }) => {
    const { invocation } = await secondMe.invoke(caller, payload.prompt, payload.client_id);
    return { invocation_id: invocation.invocation_id, status: invocation.status };
  });

  gateway.on('secondme.cancel', { limit: 'read' }, async ({ caller, payload }) => {
    const { invocation_id, status } = await secondMe.cancel(caller, payload.invocation_id);
    return { invocation_id, status };
  });
}
