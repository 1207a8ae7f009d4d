/** The tables of the contract, what a node serves, and the published descriptions: the same calls and events. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FeedEvent, Home } from '../../src/contract/feed.ts';
import { ErrorCode } from '../../src/contract/errors.ts';
import { NAMESPACES } from '../../src/contract/events.ts';
import { Message } from '../../src/contract/messages.ts';
import { REST } from '../../src/contract/rest.ts';
import type { RestCall } from '../../src/contract/rest.ts';
import { Room, RoomMember } from '../../src/contract/rooms.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createRest } from '../support/rest.ts';

interface Layer {
  route?: { path: string; methods: Record<string, boolean> };
  handle: { stack?: Layer[] };
  match(path: string): boolean;
}

const CALLS = Object.values<RestCall>(REST);
const nameOf = ({ method, path }: { method: string; path: string }) => `${method.toUpperCase()} ${path}`;
const words = (text: string) => text.split(/\s+/).filter(Boolean);

let city: City;
let served: NonNullable<ReturnType<City['apps'][0]['surface']>>;
// eslint-disable-next-line @typescript-eslint/no-explicit-any
let documents: { openapi: any; asyncapi: any };
beforeAll(async () => {
  city = await startCity();
  served = city.apps[0]!.surface()!;
  const rest = createRest(city.url(), undefined);
  documents = {
    openapi: (await rest('GET', '/openapi.json')).body,
    asyncapi: (await rest('GET', '/asyncapi.json')).body,
  };
});
afterAll(() => city.stop());

/** Every route of an express app, as `METHOD path`; routers under a prefix are named once for each prefix. */
function routesOf(stack: Layer[], prefix = ''): string[] {
  return stack.flatMap(({ route, handle, match }, index) => {
    if (route) {
      const methods = Object.keys(route.methods).filter((method) => method !== '_all');
      return methods.map((method) => nameOf({ method, path: prefix + route.path }));
    }
    const at = match.call(stack[index], '/v1') && !match.call(stack[index], '/') ? '/v1' : '';
    return handle.stack ? routesOf(handle.stack, prefix + at) : [];
  });
}

describe('REST', () => {
  it('serves the calls of the table, and no others', () => {
    const routes = routesOf((served.express as unknown as { router: { stack: Layer[] } }).router.stack);
    const expected = CALLS.flatMap((call) => [
      nameOf(call),
      ...(call.versioned ? [nameOf({ ...call, path: `/v1${call.path}` })] : []),
    ]);
    const undescribed = ['GET /docs', 'GET /docs/swagger-initializer.js', 'GET /page.json'];
    expect(routes.filter((route) => !undescribed.includes(route)).sort()).toEqual(expected.sort());
  });

  it('describes the same calls in OpenAPI', () => {
    const paths = documents.openapi.paths as Record<string, Record<string, unknown>>;
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => nameOf({ method, path: path.replace(/\{(\w+)\}/g, ':$1') })),
    );
    expect(described.sort()).toEqual(CALLS.map(nameOf).sort());
    for (const { method, path, auth, answers } of CALLS) {
      const operation = paths[path.replace(/:(\w+)/g, '{$1}')]![method] as {
        security: unknown[];
        parameters: { name: string; in: string }[];
        responses: object;
      };
      expect(operation.security.length > 0).toBe(auth);
      expect(Object.keys(operation.responses)).toEqual([...Object.keys(answers), 'default']);
      const inPath = operation.parameters.filter((parameter) => parameter.in === 'path');
      expect(inPath.map(({ name }) => `:${name}`)).toEqual(path.match(/:\w+/g) ?? []);
    }
  });

  it('leaves no reference of OpenAPI in the air', () => {
    const references = JSON.stringify(documents.openapi).matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g);
    for (const [, kind, name] of references) {
      expect(documents.openapi.components[kind!]).toHaveProperty(name!);
    }
    expect(JSON.stringify(documents)).not.toMatch(/"\$ref":"#\/\$defs/);
  });

  it('asks for a token where the table says so', async () => {
    const rest = createRest(city.url(), undefined);
    for (const { method, path, auth } of CALLS) {
      const { status } = await rest(method.toUpperCase(), path.replace(/:\w+/g, 'x'));
      expect([path, status === 401]).toEqual([path, auth]);
    }
  });
});

describe('events', () => {
  it('handles the events of the table, and no others', () => {
    for (const [namespace, { client }] of Object.entries(NAMESPACES)) {
      expect(served.events[namespace]!.sort()).toEqual(Object.keys(client).sort());
    }
    expect(Object.keys(served.events).sort()).toEqual(Object.keys(NAMESPACES).sort());
  });

  it('describes the same events in AsyncAPI', () => {
    const described = Object.values<{
      channel: { $ref: string };
      action: string;
      messages: { $ref: string }[];
    }>(documents.asyncapi.operations).map(({ channel, action, messages }) => {
      const [, event] = messages[0]!.$ref.split(`/messages/${action}.`);
      return `${channel.$ref.replace('#/channels', '')} ${action} ${event}`;
    });
    const expected = Object.entries(NAMESPACES).flatMap(([namespace, { client, server }]) => [
      ...Object.keys(client).map((event) => `${namespace} receive ${event}`),
      ...Object.keys(server).map((event) => `${namespace} send ${event}`),
    ]);
    expect(described.sort()).toEqual(expected.sort());
  });

  // As CONTRACT.md lists them.
  it('are those of the contract', () => {
    const { '/rooms': rooms, '/presence': presence } = NAMESPACES;
    expect(Object.keys(rooms.client).sort()).toEqual(
      words(`auth.refresh feed.subscribe feed.unsubscribe room.join room.leave room.message.delete room.message.edit
        room.message.send room.read room.typing secondme.cancel secondme.invoke`),
    );
    expect(Object.keys(rooms.server).sort()).toEqual(
      words(`auth.expiring feed.events feed.removed room.closed room.join room.leave room.message
        room.message.deleted room.message.updated room.presence room.typing secondme.delta secondme.reply
        secondme.status server.draining`),
    );
    expect(Object.keys(presence.client).sort()).toEqual(
      words('auth.refresh presence.heartbeat presence.offline presence.subscribe presence.unsubscribe'),
    );
    expect(Object.keys(presence.server).sort()).toEqual(
      words('auth.expiring presence.bulk_update presence.count presence.update server.draining'),
    );
  });
});

describe('shapes', () => {
  it.each([
    [
      Room,
      'id slug name description is_default created_at created_by members_online last_event last_seq last_change_seq joined unread slow_mode_s',
    ],
    [
      Message,
      'id room_id seq change_seq author_user_id author_agent_id username body client_id created_at edited_at deleted_at',
    ],
    [FeedEvent, 'id kind room_id user_id agent_id payload created_at'],
    [RoomMember, 'user_id username status last_seen joined_at'],
    [Home, 'rooms feed online totals'],
  ])('has the fields of the contract: %#', (schema, fields) => {
    expect(Object.keys(schema.shape)).toEqual(words(fields));
  });

  it('has the codes of the contract', () => {
    const codes = words(`invalid unauthenticated forbidden not_found room_exists conflict too_large
      unsupported_media_type method_not_allowed idempotency_mismatch rate_limited unavailable matrix_unavailable
      internal`);
    expect([...ErrorCode.options].sort()).toEqual(codes.sort());
  });
});
