/** OpenAPI 3.1 out of the REST table. */
import { z } from 'zod';
import { ERRORS, Problem } from './errors.ts';
import { REST } from './rest.ts';
import type { RestCall } from './rest.ts';

type Json = Record<string, unknown>;

/** The JSON Schemas of everything that one document names, with entities (schemas with an `id`) shared by `$ref`. */
export function schemaBook(prefix: string) {
  const shared: Record<string, Json> = {};
  const schema = (type: z.ZodType, io: 'input' | 'output'): Json => {
    const { $schema: _, $defs, ...rest } = z.toJSONSchema(type, { io, unrepresentable: 'any' }) as Json;
    for (const [id, definition] of Object.entries(($defs ?? {}) as Record<string, Json>)) {
      const { $schema: _schema, id: _id, ...body } = definition;
      shared[id] = rewriteRefs(body) as Json;
    }
    const { id, ...body } = rest;
    if (typeof id !== 'string') return rewriteRefs(body) as Json;
    shared[id] = rewriteRefs(body) as Json;
    return { $ref: prefix + id };
  };
  const rewriteRefs = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(rewriteRefs);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) =>
        key === '$ref' && typeof inner === 'string'
          ? [key, inner.replace('#/$defs/', prefix)]
          : [key, rewriteRefs(inner)],
      ),
    );
  };
  return { schema, shared };
}

const isEmpty = (schema: Json) => Object.keys((schema.properties ?? {}) as Json).length === 0;

function parameters(where: 'path' | 'query', schema: Json) {
  const required = (schema.required ?? []) as string[];
  return Object.entries((schema.properties ?? {}) as Record<string, Json>).map(([name, property]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    schema: property,
  }));
}

/** The document behind GET /openapi.json, of the calls that the node serves. */
export function openapi(calls: Record<string, RestCall> = REST): Json {
  const { schema, shared } = schemaBook('#/components/schemas/');
  const paths: Record<string, Json> = {};
  for (const [operationId, { ...call }] of Object.entries(calls)) {
    const body = schema(call.body, 'input');
    const success = Object.entries(call.answers).map(([status, answer]) => [
      status,
      { description: 'ok', content: { 'application/json': { schema: schema(answer, 'output') } } },
    ]);
    const path = call.path.replace(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[call.method] = {
      operationId,
      summary: call.summary,
      security: call.auth ? [{ bearer: [] }] : [],
      parameters: [
        ...parameters('path', schema(call.params, 'input')),
        ...parameters('query', schema(call.query, 'input')),
        ...call.headers.map((name) => ({
          name,
          in: 'header',
          required: false,
          schema: { type: 'string' },
        })),
      ],
      ...(isEmpty(body)
        ? {}
        : { requestBody: { required: true, content: { 'application/json': { schema: body } } } }),
      responses: { ...Object.fromEntries(success), default: { $ref: '#/components/responses/Problem' } },
    };
  }
  const problem = schema(Problem, 'output');
  const codes = Object.entries(ERRORS).map(([code, { status }]) => `${code} ${status}`);
  return {
    openapi: '3.1.0',
    info: {
      title: 'DAARION City',
      version: '1',
      description:
        'Rooms, presence, feed and Second Me. Every path under /city, /secondme, /internal, /auth and /me is also served under /v1.',
    },
    paths,
    components: {
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      responses: {
        Problem: {
          description: `Refused. Codes: ${codes.join(', ')}.`,
          content: { 'application/problem+json': { schema: problem } },
        },
      },
      schemas: shared,
    },
  };
}
