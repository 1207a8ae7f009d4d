/** REST calls about messages. */
import { IDEMPOTENCY_KEY } from '../contract/rest.ts';
import { AppError } from '../platform/errors.ts';
import { idempotencyKey } from '../platform/http.ts';
import type { Route } from '../platform/http.ts';
import type { Messages } from './messages.service.ts';

/** The one key of a message that may be named in the body, in the header, or alike in both. */
function keyOf(inHeader: string | undefined, client_id: string | undefined): string | undefined {
  if (inHeader !== undefined && client_id !== undefined && client_id !== inHeader) {
    throw new AppError('invalid', `client_id and ${IDEMPOTENCY_KEY} are the same thing and must not differ.`);
  }
  return inHeader ?? client_id;
}

export function messageRoutes(route: Route, messages: Messages): void {
  route('listMessages', async ({ params, query }) => ({ body: await messages.list(params.room_id, query) }));

  route(
    'sendMessage',
    async ({ caller, params, body, request }) => {
      const client_id = keyOf(idempotencyKey(request), body.client_id);
      const { message, duplicate } = await messages.send(caller, params.room_id, { ...body, client_id });
      return { status: duplicate ? 200 : 201, body: message };
    },
    'send',
  );

  route(
    'editMessage',
    async ({ caller, params, body }) => ({
      body: await messages.edit(caller, params.room_id, params.id, body.body),
    }),
    'send',
  );

  route(
    'deleteMessage',
    async ({ caller, params, requestId }) => ({
      body: await messages.remove(caller, params.room_id, params.id, requestId),
    }),
    'send',
  );
}
