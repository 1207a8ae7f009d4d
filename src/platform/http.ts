/** The HTTP edge: routes from the REST table, strict parsing, problem+json, request ids, security headers. */
import cors from 'cors';
import express from 'express';
import type { ErrorRequestHandler, Express, Request, Response, Router } from 'express';
import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import type { RequestListener } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { z } from 'zod';
import type { AddressOf } from './addresses.ts';
import type { Authorise } from '../auth/authorise.ts';
import type { Caller } from '../auth/caller.ts';
import { ERRORS } from '../contract/errors.ts';
import type { FieldError, Problem } from '../contract/errors.ts';
import { IDEMPOTENCY_KEY, IdempotencyHeader, REST } from '../contract/rest.ts';
import type { RestCall, RestName } from '../contract/rest.ts';
import { createDirect, messageClasses } from './direct.ts';
import type { Direct } from './direct.ts';
import type { MessageClasses } from './http-server.ts';
import { AppError, retryAfterMs, toAppError } from './errors.ts';
import type { LimitClass, Limits } from './limits.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';
import { createSecurityHeaders } from './security-headers.ts';

export const BODY_LIMIT = '64kb';
/** A reader of a stream that takes nothing for so long is cut. */
const STALLED_MS = 30_000;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

declare module 'express-serve-static-core' {
  interface Locals {
    requestId: string;
    log: Logger;
    caller?: Caller;
  }
}

interface HttpEdge {
  log: Logger;
  metrics: Metrics;
  limits: Limits;
  addressOf: AddressOf;
  /** Finds the caller behind the Authorization header of the call `name`. */
  authenticate(request: Request, name: RestName): Promise<Caller>;
  authorise: Authorise;
}

interface RestInput<C extends RestCall> {
  params: z.output<C['params']>;
  query: z.output<C['query']>;
  body: z.output<C['body']>;
  caller: C['auth'] extends false ? undefined : Caller;
  requestId: string;
  request: Request;
}

/** Pieces of a JSON document, and what breaks it off. */
interface RestStream {
  pieces: AsyncGenerator<string>;
  signal: AbortSignal;
}

export interface RestAnswer {
  status?: number;
  headers?: Record<string, string>;
  body?: unknown;
  /** In place of a body: one that is encoded already, as text or as UTF-8. */
  json?: string | Buffer;
  /** In place of a body. */
  stream?: RestStream;
}

export type RestHandler<C extends RestCall> = (input: RestInput<C>) => Promise<RestAnswer> | RestAnswer;

/** Registers the handler of a call of the REST table; `limit` is the allowance of its caller (its address where it needs no token) that it draws on. */
export type Route = <Name extends RestName>(
  name: Name,
  handler: RestHandler<(typeof REST)[Name]>,
  limit?: LimitClass,
) => void;

/** What is wrong with which field, in words of the schema. */
export function fieldErrors(error: z.ZodError): FieldError[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ path: [...issue.path, key].join('.'), message: 'unknown field' }));
    }
    return [{ path: issue.path.join('.'), message: issue.message }];
  });
}

/**
 * `value` as `schema` says.
 * @throws AppError invalid with one entry for each field
 */
export function parse<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new AppError('invalid', `The ${what} is not valid.`, { errors: fieldErrors(parsed.error) });
}

/** The Idempotency-Key of a request that has one. @throws AppError invalid */
export function idempotencyKey(request: Request): string | undefined {
  const given = request.get(IDEMPOTENCY_KEY);
  if (given === undefined) return undefined;
  return parse(IdempotencyHeader, { [IDEMPOTENCY_KEY]: given }, 'header')[IDEMPOTENCY_KEY];
}

/** Answers with JSON; to HEAD with its headers. */
function answerJson(request: Request, response: Response, json: string | Buffer): void {
  if (!response.hasHeader('Content-Type'))
    response.setHeader('Content-Type', 'application/json; charset=utf-8');
  response.setHeader('Content-Length', Buffer.byteLength(json));
  response.end(request.method === 'HEAD' ? undefined : json);
}

/** Answers `error` as problem+json and logs what is ours. */
function answerProblem(error: unknown, response: Response): void {
  const problem = toAppError(error);
  const { status, title } = ERRORS[problem.code];
  const { requestId, log } = response.locals;
  if (status >= 500) {
    log.error({ err: problem.cause ?? problem, code: problem.code, request_id: requestId }, 'request failed');
  }
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const wait = retryAfterMs(problem);
  if (wait !== undefined) response.setHeader('Retry-After', String(Math.ceil(wait / 1000)));
  if (problem.allow) response.setHeader('Allow', problem.allow.join(', '));
  if (problem.code === 'unauthenticated') response.setHeader('WWW-Authenticate', 'Bearer');
  const body: Problem = {
    type: `urn:daarion:problem:${problem.code}`,
    title,
    status,
    code: problem.code,
    detail: problem.message,
    request_id: requestId,
    ...(problem.errors ? { errors: problem.errors } : {}),
  };
  response.setHeader('Cache-Control', 'no-store');
  response.status(status).type('application/problem+json').send(JSON.stringify(body));
}

/** body-parser's complaints, by their `type`, in our codes. */
function bodyError(error: { status?: number; type?: string }): AppError {
  if (error.status === 413)
    return new AppError('too_large', `A request body may have at most ${BODY_LIMIT}.`);
  if (error.status === 415) return new AppError('unsupported_media_type', 'Send application/json in UTF-8.');
  return new AppError('invalid', 'The request body is not valid JSON.');
}

/** JSON on the wire is UTF-8 (RFC 8259, section 8.1); a decoder would put U+FFFD where bytes are none. */
function mustBeUtf8(_request: unknown, _response: unknown, body: Buffer, charset: string): void {
  if (charset !== 'utf-8') throw Object.assign(new Error('not UTF-8'), { status: 415 });
  if (!isUtf8(body)) throw Object.assign(new Error('not UTF-8'), { status: 400 });
}

const json = express.json({ limit: BODY_LIMIT, strict: false, verify: mustBeUtf8 });

/** The parsed body; undefined when none was sent. */
async function readBody(request: Request, response: Response): Promise<unknown> {
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  if (!hasBody) return undefined;
  if (!request.is('application/json')) {
    throw new AppError('unsupported_media_type', 'Send application/json.');
  }
  await new Promise<void>((resolve, reject) => {
    json(request, response, (error?: unknown) => (error ? reject(bodyError(error)) : resolve()));
  });
  return request.body;
}

/**
 * Writes a document as its reader takes it. What fails before the first piece is answered like any error; after it
 * the connection is destroyed, so that no part of a document looks like all of it.
 */
async function answerStream(response: Response, { pieces, signal }: RestStream): Promise<void> {
  try {
    const first = await pieces.next();
    async function* all() {
      if (!first.done) yield first.value;
      yield* pieces;
    }
    response.type('application/json').setTimeout(STALLED_MS, () => response.destroy());
    await pipeline(Readable.from(all(), { highWaterMark: 1 }), response, { signal });
  } catch (error) {
    // Its reader has gone, or its node goes.
    const { code, name } = error as { code?: unknown; name?: unknown };
    if (code !== 'ERR_STREAM_PREMATURE_CLOSE' && name !== 'AbortError') throw error;
    const { log, requestId } = response.locals;
    log.debug({ err: error, request_id: requestId }, 'a stream was broken off');
  } finally {
    await pieces.return(undefined);
  }
}

/** Gives a request its id, and its answer what every answer carries; counts it when it is answered. */
function beginnings({ log, metrics }: Pick<HttpEdge, 'log' | 'metrics'>) {
  const secure = createSecurityHeaders();
  return (request: Request, response: Response): void => {
    const given = request.headers['x-request-id'];
    const requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    response.locals = { requestId, log };
    response.setHeader('X-Request-Id', requestId);
    response.setHeader('Vary', 'Origin');
    secure(request, response, () => {});
    const start = performance.now();
    response.on('finish', () => {
      const ms = performance.now() - start;
      const route = (request.route as { path?: string } | undefined)?.path ?? 'none';
      metrics.requests.observe({ route, status: String(response.statusCode) }, ms / 1000);
      if (!log.isLevelEnabled('debug')) return;
      log.debug(
        {
          request_id: requestId,
          method: request.method,
          route,
          status: response.statusCode,
          ms: Math.round(ms),
          user_id: response.locals.caller?.id,
        },
        'request',
      );
    });
  };
}

/**
 * An express app with nothing to serve yet, the calls that go past it, and the listener in front of both, which sees
 * to request ids, logs, metrics and security headers; `classes` are what its requests and responses are made as.
 */
export function createHttpApp(
  edge: Pick<HttpEdge, 'log' | 'metrics'>,
  allowedOrigin: (origin: string) => boolean,
): { app: Express; direct: Direct; listener: RequestListener; classes: MessageClasses } {
  const app = express();
  app.disable('x-powered-by');
  app.set('query parser', 'simple');
  app.set('etag', false);
  app.use(
    cors({
      origin: (origin, decide) => decide(null, origin !== undefined && allowedOrigin(origin)),
      exposedHeaders: ['X-Request-Id', 'Retry-After', 'Location'],
      maxAge: 600,
    }),
  );
  const direct = createDirect(app, answerProblem);
  const begin = beginnings(edge);
  const listener: RequestListener = (request, response) => {
    begin(request as Request, response as Response);
    if (!direct.answer(request, response)) app(request, response);
  };
  return { app, direct, listener, classes: messageClasses(app) };
}

/** Routers for the calls at the root only and for those also under /v1, and `route` to fill them. */
export function createRoutes(edge: HttpEdge, direct: Direct) {
  const versioned = express.Router();
  const rootOnly = express.Router();
  const methods = new Map<string, { router: Router; allow: string[] }>();

  const route: Route = (name, handler, limit = 'read') => {
    const call: RestCall = REST[name];
    const router = call.versioned ? versioned : rootOnly;
    const known = methods.get(call.path) ?? { router, allow: [] };
    known.allow.push(call.method.toUpperCase());
    methods.set(call.path, known);
    const listener = async (request: Request, response: Response) => {
      const address = edge.addressOf(request);
      // What is at the root only is for orchestrators and documentation, and costs nothing.
      if (call.versioned) await edge.limits.take('request_address', address);
      const caller = call.auth ? await edge.authenticate(request, name) : undefined;
      if (caller) response.locals.caller = caller;
      if (call.versioned) await edge.limits.take(limit, caller?.id ?? address);
      const params = call.params.safeParse({ ...request.params });
      if (!params.success) throw new AppError('not_found', 'There is no such thing here.');
      const query = parse(call.query, request.url.includes('?') ? { ...request.query } : {}, 'query');
      const sent = await readBody(request, response);
      const body = parse(call.body, sent === undefined ? {} : sent, 'request body');
      if (caller) await edge.authorise(caller, name, { ...(body as object), ...(params.data as object) });
      const { requestId } = response.locals;
      const input = { params: params.data, query, body, caller, requestId, request };
      const answer = await (handler as unknown as RestHandler<RestCall>)(input as RestInput<RestCall>);
      response.statusCode = answer.status ?? 200;
      response.setHeader('Cache-Control', 'no-store');
      if (answer.headers) response.set(answer.headers);
      if (answer.stream) await answerStream(response, answer.stream);
      else answerJson(request, response, answer.json ?? JSON.stringify(answer.body));
    };
    router[call.method](call.path, listener);
    if (call.method === 'get') direct.add(call.path, call.versioned, listener);
  };

  /** Mounts everything on `app`; no route may be added after. */
  const mount = (app: Express) => {
    for (const [path, { router, allow }] of methods) {
      router.all(path, () => {
        throw new AppError('method_not_allowed', `This path takes ${allow.join(', ')}.`, { allow });
      });
    }
    app.use(rootOnly);
    app.use(versioned);
    app.use('/v1', versioned);
  };

  return { route, mount };
}

/** What a middleware such as express.static refuses with an HTTP status; nothing of it is our fault. */
function refusal(error: unknown): AppError | undefined {
  const status = (error as { status?: unknown } | null)?.status;
  if (error instanceof AppError || typeof status !== 'number' || status < 400 || status > 499)
    return undefined;
  return status === 404
    ? new AppError('not_found', 'There is no such path.')
    : new AppError('invalid', 'The request is not well-formed.');
}

/** The last two words of an app: what nobody serves is 404, what was thrown becomes a problem. */
export function endWithProblems(app: Express): void {
  app.use(() => {
    throw new AppError('not_found', 'There is no such path.');
  });
  const onError: ErrorRequestHandler = (error: unknown, _request, response, _next) => {
    answerProblem(refusal(error) ?? error, response);
  };
  app.use(onError);
}
