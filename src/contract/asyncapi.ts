/** AsyncAPI 3.0 out of the event tables. */
import type { z } from 'zod';
import { AckError } from './errors.ts';
import { NAMESPACES } from './events.ts';
import type { ClientEvent } from './events.ts';
import { schemaBook } from './openapi.ts';

type Json = Record<string, unknown>;

/** The document behind GET /asyncapi.json; `x-ack` is the data of a positive acknowledgement. */
export function asyncapi(): Json {
  const { schema, shared } = schemaBook('#/components/schemas/');
  schema(AckError, 'output');
  const channels: Record<string, Json> = {};
  const operations: Record<string, Json> = {};
  for (const [namespace, { client, server }] of Object.entries(NAMESPACES)) {
    const channel = namespace.slice(1);
    const messages: Record<string, Json> = {};
    const add = (action: 'send' | 'receive', event: string, message: Json) => {
      const key = `${action}.${event}`;
      messages[key] = { name: event, ...message };
      operations[`${channel}.${key}`] = {
        action,
        channel: { $ref: `#/channels/${channel}` },
        messages: [{ $ref: `#/channels/${channel}/messages/${key}` }],
      };
    };
    for (const [event, { summary, payload, data }] of Object.entries<ClientEvent>(client)) {
      const ack = { ok: true, data: schema(data, 'output') };
      add('receive', event, { summary, payload: schema(payload, 'input'), 'x-ack': ack });
    }
    for (const [event, { summary, payload }] of Object.entries<{ summary: string; payload: z.ZodType }>(
      server,
    )) {
      add('send', event, { summary, payload: schema(payload, 'output') });
    }
    channels[channel] = { address: namespace, messages };
  }
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'DAARION City events',
      version: '1',
      description:
        'Socket.IO namespaces. Actions are the server’s: it receives client events, each with an acknowledgement `{ ok: true, data }` or `{ ok: false, error: AckError }`, and sends the others.',
    },
    defaultContentType: 'application/json',
    channels,
    operations,
    components: { schemas: shared },
  };
}
