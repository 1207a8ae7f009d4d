/** What holds for any input: schemas refuse or pass it on whole, and a message is stored as it was sent or not at all. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { z } from 'zod';
import { NAMESPACES } from '../../src/contract/events.ts';
import type { ClientEvent } from '../../src/contract/events.ts';
import { REST } from '../../src/contract/rest.ts';
import type { RestCall } from '../../src/contract/rest.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';

/** The same inputs on every run, so that a failure is one that can be had again; what fails prints it. */
const SEED = Number(process.env.FAST_CHECK_SEED ?? 7_001);
const RUNS = { seed: SEED, numRuns: 100 };

interface Shape {
  type?: string;
  enum?: unknown[];
  const?: unknown;
  anyOf?: Shape[];
  pattern?: string;
  properties?: Record<string, Shape>;
  required?: string[];
  items?: Shape;
  maxItems?: number;
}

/** Any text: code points, and code units that are no text at all. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 })
    .map((units) => String.fromCharCode(...units)),
  fc.constantFrom(
    '\0',
    '\ud800',
    '\udc00a',
    '\u200b',
    '__proto__',
    'constructor',
    '',
    ' ',
    '🌻'.repeat(10_001),
  ),
);
const anyNumber = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(-0, 2 ** 53, 2 ** 53 - 1, Infinity, NaN, -1, 1e308),
);
const anything = fc.oneof(fc.jsonValue({ maxDepth: 4 }), anyText, anyNumber, fc.constant(undefined));

/** Text of a pattern of the contract; of numbers in a query, more of those that are in range. */
function matching(pattern: string): fc.Arbitrary<string> {
  const any = fc.stringMatching(new RegExp(pattern));
  return pattern.startsWith('^\\d') ? fc.oneof(any, fc.integer({ min: 1, max: 200 }).map(String)) : any;
}

/** Values that are nearly what `shape` asks for, each part of it now and then something else. */
function near(shape: Shape): fc.Arbitrary<unknown> {
  const strange = { weight: 1, arbitrary: anything };
  return fc.oneof(strange, { weight: 12, arbitrary: as(shape) });
}

function as(shape: Shape): fc.Arbitrary<unknown> {
  if (shape.const !== undefined) return fc.constant(shape.const);
  if (shape.enum) return fc.constantFrom(...shape.enum);
  if (shape.anyOf) return fc.oneof(...shape.anyOf.map(near));
  switch (shape.type) {
    case 'object': {
      const fields = Object.fromEntries(
        Object.entries(shape.properties ?? {}).map(([key, of]) => [key, near(of)]),
      );
      const record = fc.record(fields, { requiredKeys: shape.required ?? [] });
      const extra = fc.dictionary(fc.oneof(fc.string(), fc.constant('__proto__')), anything, { maxKeys: 2 });
      return fc.oneof(
        { weight: 9, arbitrary: record },
        { weight: 1, arbitrary: fc.tuple(record, extra).map(([known, more]) => ({ ...known, ...more })) },
      );
    }
    case 'array':
      return fc.array(near(shape.items ?? {}), { maxLength: Math.min(shape.maxItems ?? 5, 5) });
    case 'string':
      return shape.pattern === undefined
        ? fc.oneof(fc.lorem({ maxCount: 3 }), anyText)
        : matching(shape.pattern);
    case 'integer':
      return fc.oneof(fc.nat(), anyNumber);
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return anything;
  }
}

const schemas: [name: string, schema: z.ZodType][] = [
  ...(Object.entries(REST) as [string, RestCall][]).flatMap(([name, { params, query, body }]) => [
    [`${name} params`, params] as [string, z.ZodType],
    [`${name} query`, query] as [string, z.ZodType],
    [`${name} body`, body] as [string, z.ZodType],
  ]),
  ...Object.entries(NAMESPACES).flatMap(([namespace, { client }]) =>
    (Object.entries(client) as [string, ClientEvent][]).map(
      ([name, { payload }]) => [`${namespace} ${name}`, payload] as [string, z.ZodType],
    ),
  ),
];

/** `value` with the one zero that JSON knows. */
function oneZero(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(oneZero);
  if (typeof value !== 'object' || value === null) return value === 0 ? 0 : value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, oneZero(part)]));
}

/** Every text inside `value`. */
function textsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsOf);
}

let city: City;
let sql: pg.Client;
beforeAll(async () => {
  city = await startCity();
  sql = new pg.Client({ connectionString: city.database.url });
  await sql.connect();
});
afterAll(async () => {
  await sql.end();
  await city.stop();
});

describe('every schema', () => {
  it.each(schemas)(
    '%s refuses it, or passes on what JSON and PostgreSQL carry whole',
    async (_name, schema) => {
      const shape = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Shape;
      const accepted: string[] = [];
      let passed = 0;
      const property = fc.property(fc.oneof({ weight: 4, arbitrary: as(shape) }, anything), (input) => {
        const { success, data } = schema.safeParse(input);
        if (!success) return;
        passed += 1;
        expect(JSON.parse(JSON.stringify(data))).toEqual(oneZero(data));
        expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
        accepted.push(...textsOf(data));
      });
      fc.assert(property, RUNS);
      expect(passed).toBeGreaterThan(0);
      const { rows } = await sql.query<{ kept: string[] }>('select $1::text[] kept', [accepted]);
      expect(rows[0]!.kept).toEqual(accepted);
    },
  );
});

describe('any text for a message', () => {
  it('comes back as it was sent, over REST and the socket alike, or is refused as invalid', async () => {
    const rest = await city.rest('u_fuzzer');
    const socket = await city.socket('/rooms', 'u_fuzzer');
    const { room } = await socket.call('room.join', { room_id: 'general' });
    let since = room.last_change_seq as number;
    let sent = 0;

    const property = fc.asyncProperty(anyText, async (body) => {
      const answer = await rest('POST', '/city/rooms/general/messages', { body });
      const { ok, data, error } = await socket.ack('room.message.send', { room_id: 'general', body });
      expect([answer.status, ok]).toEqual(ok ? [201, true] : [400, false]);
      if (!ok) return void expect([answer.body.code, error.code]).toEqual(['invalid', 'invalid']);
      expect([answer.body.body, data.message.body]).toEqual([body, body]);
      const page = await rest('GET', `/city/rooms/general/messages?since=${since}`);
      expect(page.body.messages.map((message: { body: string }) => message.body)).toEqual([body, body]);
      const live = await socket.next('room.message', ({ message }) => message.id === data.message.id);
      expect(live.message.body).toBe(body);
      since = data.message.change_seq;
      sent += 1;
    });
    await fc.assert(property, RUNS);
    expect(sent).toBeGreaterThan(20);
    socket.close();
  });
});
