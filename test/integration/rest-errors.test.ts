/** REST: what is wrong with a request, and what every answer carries. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { request } from 'node:http';
import { gzipSync } from 'node:zlib';
import { ERRORS, Problem } from '../../src/contract/errors.ts';
import type { ErrorCode } from '../../src/contract/errors.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createRest } from '../support/rest.ts';
import type { RestAnswer } from '../support/rest.ts';
import { expectShape } from '../support/shape.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const SEND = '/city/rooms/general/messages';

let city: City;
let alice: ReturnType<typeof createRest>;
let nobody: ReturnType<typeof createRest>;
beforeAll(async () => {
  city = await startCity();
  alice = await city.rest('u_alice');
  nobody = createRest(city.url(), undefined);
});
afterAll(() => city.stop());

/** Passes when `answer` is the problem document of `code`. */
function expectProblem(answer: RestAnswer, code: ErrorCode): void {
  const { status, headers, body } = answer;
  expect([status, body.code]).toEqual([ERRORS[code].status, code]);
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expectShape(Problem, body);
  expect(body.status).toBe(status);
  expect(body.request_id).toBe(headers.get('x-request-id'));
}

/** A request that fetch would not send: any path, any body. */
const raw = async (method: string, path: string, headers: Record<string, string> = {}, body?: Buffer) => {
  const authorization = `Bearer ${await city.token('u_alice')}`;
  return new Promise<RestAnswer>((resolve, reject) => {
    const options = { method, path, headers: { authorization, ...headers } };
    const sent = request(city.url(), options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({
          status: response.statusCode!,
          headers: new Headers(response.headers as Record<string, string>),
          body: text.startsWith('{') ? JSON.parse(text) : text,
        });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
};

describe('every answer', () => {
  it('carries X-Request-Id: the caller’s if well-formed, else a new one', async () => {
    for (const path of ['/city/rooms', '/health/live', '/nowhere', '/docs/', '/openapi.json']) {
      const given = await alice('GET', path, undefined, { 'X-Request-Id': 'trace-1.a_B' });
      expect(given.headers.get('x-request-id')).toBe('trace-1.a_B');
    }
    const odd = await Promise.all(
      ['', 'a b', 'x'.repeat(300), '<script>'].map((id) => raw('GET', '/city/rooms', { 'X-Request-Id': id })),
    );
    const ids = odd.map(({ headers }) => headers.get('x-request-id')!);
    for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9._-]{8,64}$/);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('says nothing about the software, and is not stored', async () => {
    const { headers } = await alice('GET', '/city/rooms');
    expect(headers.get('x-powered-by')).toBeNull();
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-type')).toMatch(/^application\/json/);
  });
});

describe('a connection', () => {
  it('is kept for longer than the 60 s for which balancers keep theirs', async () => {
    const { headers } = await raw('GET', '/health/live', { Connection: 'keep-alive' });
    expect(Number(/^timeout=(\d+)$/.exec(headers.get('keep-alive')!)?.[1])).toBeGreaterThan(60);
  });
});

describe('the request', () => {
  it.each(['{', '{"body":', 'nonsense', '{"body":"x"} trailing', "{'body':'x'}", '\ufeff{'])(
    'is refused with malformed JSON: %j',
    async (body) => expectProblem(await alice('POST', SEND, body), 'invalid'),
  );

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp', 'nonsense'])(
    'is refused as %s',
    async (type) => {
      const answer = await alice('POST', SEND, '{"body":"x"}', { 'content-type': type });
      expectProblem(answer, 'unsupported_media_type');
    },
  );

  it('is refused in another charset or encoding', async () => {
    const latin = await alice('POST', SEND, '{"body":"x"}', {
      'content-type': 'application/json; charset=iso-8859-1',
    });
    expectProblem(latin, 'unsupported_media_type');
    const odd = await raw('POST', SEND, { ...JSON_TYPE, 'content-encoding': 'rot13' }, Buffer.from('{}'));
    expectProblem(odd, 'unsupported_media_type');
    const utf8 = await alice('POST', SEND, '{"body":"x"}', {
      'content-type': 'Application/JSON; charset=UTF-8',
    });
    expect(utf8.status).toBe(201);
  });

  it('may have a body of 64 KB, no more', async () => {
    const padded = (size: number) => '{"body":"x"}'.padEnd(size, ' ');
    expect((await alice('POST', SEND, padded(65_536))).status).toBe(201);
    expectProblem(await alice('POST', SEND, padded(65_537)), 'too_large');
    const bomb = gzipSync(padded(1_000_000));
    expectProblem(await raw('POST', SEND, { ...JSON_TYPE, 'content-encoding': 'gzip' }, bomb), 'too_large');
    const chunked = { ...JSON_TYPE, 'transfer-encoding': 'chunked' };
    expectProblem(await raw('POST', SEND, chunked, Buffer.from(padded(70_000))), 'too_large');
    const cut = { ...JSON_TYPE, 'content-encoding': 'gzip' };
    expectProblem(await raw('POST', SEND, cut, bomb.subarray(0, 20)), 'invalid');
  });

  it('names every field that is wrong', async () => {
    const answer = await alice('POST', '/city/rooms', { name: '', slug: 'X', extra: 1 });
    expectProblem(answer, 'invalid');
    const paths = answer.body.errors.map(({ path }: { path: string }) => path);
    expect(new Set(paths)).toEqual(new Set(['name', 'slug', 'extra']));
  });

  it('takes a body for a call that has none only if it is an empty object', async () => {
    expect((await alice('POST', '/city/rooms/general/join', {})).status).toBe(200);
    expectProblem(await alice('POST', '/city/rooms/general/join', { user_id: 'u_bob' }), 'invalid');
    for (const body of ['null', '[]', '""', '0']) {
      expectProblem(await alice('POST', '/city/rooms/general/join', body), 'invalid');
    }
  });

  it('survives a body that is nested very deeply', async () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    expectProblem(await alice('POST', SEND, `{"body":${deep}}`), 'invalid');
    expectProblem(await alice('POST', SEND, deep), 'invalid');
  });
});

describe('the path', () => {
  it.each(['/nowhere', '/city', '/v2/city/rooms', '/v1/v1/city/rooms', '/v1', '/docs/nothing', '/assets/no'])(
    'answers 404 for %s',
    async (path) => expectProblem(await alice('GET', path), 'not_found'),
  );

  it('answers 400 for escapes that are not UTF-8', async () => {
    for (const path of ['/city/rooms/%', '/city/rooms/%zz', '/city/rooms/%c3%28']) {
      expectProblem(await raw('GET', path), 'invalid');
    }
  });

  it('never answers 5xx to a strange request for a file', async () => {
    for (const path of ['/docs/..%2f..%2fpackage.json', '/docs/%00', '/assets/%00', '/docs/index.html%00']) {
      expect((await raw('GET', path)).status).toBeLessThan(500);
    }
    const range = await raw('GET', '/docs/swagger-ui.css', { Range: 'bytes=99999999-' });
    expect(range.status).toBeLessThan(500);
  });

  it.each([
    ['PUT', '/city/rooms', ['GET', 'POST']],
    ['POST', '/city/feed', ['GET']],
    ['GET', '/city/rooms/general/join', ['POST']],
    ['POST', '/v1/city/rooms/general/read', ['PUT']],
    ['GET', `${SEND}/m_city_${'0'.repeat(26)}`, ['PATCH', 'DELETE']],
    ['DELETE', '/health/live', ['GET']],
    ['POST', '/openapi.json', ['GET']],
    ['POST', '/docs', ['GET']],
    ['GET', '/auth/dev-token', ['POST']],
    ['HEAD', '/city/rooms/general/join', ['POST']],
  ])('answers 405 to %s %s', async (method, path, allowed) => {
    const answer = await alice(method, path);
    expect(answer.status).toBe(405);
    const allow = answer.headers.get('allow')!.split(/, */);
    expect(allow).toEqual(expect.arrayContaining(allowed));
    expect(allow).not.toContain(method);
    if (method !== 'HEAD') expectProblem(answer, 'method_not_allowed');
  });

  it('answers HEAD as GET, without a body', async () => {
    for (const path of ['/city/rooms', '/health/live', '/openapi.json']) {
      expect(await alice('HEAD', path)).toMatchObject({ status: 200, body: '' });
    }
    expect((await nobody('HEAD', '/city/rooms')).status).toBe(401);
  });
});

describe('served at the root only, for everybody', () => {
  it.each(['/health/live', '/health/ready', '/openapi.json', '/asyncapi.json', '/docs'])(
    '%s',
    async (path) => {
      expect((await raw('GET', path)).status).toBe(200); // and no redirect
      expectProblem(await alice('GET', `/v1${path}`), 'not_found');
    },
  );

  it('takes no parameters', async () => {
    for (const path of ['/health/live', '/openapi.json', '/docs']) {
      expectProblem(await nobody('GET', `${path}?x=1`), 'invalid');
    }
  });

  it('describes the documents', async () => {
    expect((await nobody('GET', '/openapi.json')).body.openapi).toMatch(/^3\.1/);
    expect((await nobody('GET', '/asyncapi.json')).body.asyncapi).toMatch(/^3\./);
    const page = await nobody('GET', '/docs');
    expect(page.headers.get('content-type')).toMatch(/^text\/html/);
    const assets = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path as string);
    expect(assets.length).toBeGreaterThan(2);
    for (const path of assets) expect([path, (await nobody('GET', path)).status]).toEqual([path, 200]);
  });
});

describe('pages of other origins', () => {
  const preflight = {
    'Access-Control-Request-Method': 'PATCH',
    'Access-Control-Request-Headers': 'authorization',
  };

  it('may call from any localhost in development, and from nowhere else', async () => {
    for (const [origin, allowed] of [
      ['http://localhost:5173', 'http://localhost:5173'],
      ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
      ['https://evil.example', null],
      ['http://localhost.evil.example', null],
      ['null', null],
    ] as const) {
      const { headers } = await alice('GET', '/city/rooms', undefined, { Origin: origin });
      expect([origin, headers.get('access-control-allow-origin')]).toEqual([origin, allowed]);
      expect(headers.get('vary')).toMatch(/origin/i);
    }
  });

  it('are told by a preflight what they may do, with no token', async () => {
    const asked = await nobody('OPTIONS', SEND, undefined, { Origin: 'http://localhost:5173', ...preflight });
    expect(asked.status).toBe(204);
    expect(asked.headers.get('access-control-allow-methods')).toContain('PATCH');
    expect(asked.headers.get('access-control-allow-headers')).toMatch(/authorization/i);
    const evil = await nobody('OPTIONS', SEND, undefined, { Origin: 'https://evil.example', ...preflight });
    expect(evil.headers.get('access-control-allow-origin')).toBeNull();
  });

  it('may read the headers that a client needs', async () => {
    const { headers } = await alice('GET', '/city/rooms', undefined, { Origin: 'http://localhost:5173' });
    const exposed = headers.get('access-control-expose-headers')!.toLowerCase();
    for (const name of ['x-request-id', 'retry-after', 'location']) expect(exposed).toContain(name);
  });
});

describe('in production', () => {
  const ORIGIN = 'https://city.example';
  it('there is no dev-token, and only the listed origins may call', async () => {
    const secret = 'a-secret-of-production-that-is-long-enough';
    await city.start({ NODE_ENV: 'production', ALLOWED_ORIGINS: ORIGIN, JWT_SECRET: secret });
    const production = createRest(city.url(1), undefined);
    const body = { user_id: 'u_alice' };
    for (const prefix of ['', '/v1']) {
      expect((await nobody('POST', `${prefix}/auth/dev-token`, body)).status).toBe(201);
      expectProblem(await production('POST', `${prefix}/auth/dev-token`, body), 'not_found');
      expectProblem(await production('GET', `${prefix}/auth/dev-token`), 'not_found');
    }
    for (const [origin, allowed] of [
      [ORIGIN, ORIGIN],
      ['http://localhost:5173', null],
    ] as const) {
      const { headers } = await production('GET', '/health/live', undefined, { Origin: origin });
      expect(headers.get('access-control-allow-origin')).toBe(allowed);
    }
    expect((await production('GET', '/openapi.json')).body.paths['/auth/dev-token']).toBeUndefined();
  });
});
