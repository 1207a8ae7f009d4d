/** Security headers: every answer of the public port carries them, whoever makes it. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';

const CSP =
  "default-src 'self';img-src 'self' data:;object-src 'none';base-uri 'none';frame-ancestors 'none';form-action 'self'";
const EXPECTED = {
  'content-security-policy': CSP,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'SAMEORIGIN',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-powered-by': null,
  server: null,
};
const POLL = '/socket.io/?EIO=4&transport=polling';

let city: City;
let token: string;
beforeAll(async () => {
  city = await startCity({ env: { MAX_CONNECTIONS_ADDRESS: '1', RATE_LIMITS: 'on' } });
  token = await city.token('u_alice');
});
afterAll(() => city.stop());

const ask = (path: string, init: RequestInit = {}) =>
  fetch(city.url() + path, {
    ...init,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...init.headers },
  });

/** What of EXPECTED `response` says. */
const headersOf = ({ headers }: Response) =>
  Object.fromEntries(Object.keys(EXPECTED).map((name) => [name, headers.get(name)]));

describe('security headers', () => {
  it.each<[what: string, status: number, path: string, init?: RequestInit]>([
    ['JSON', 200, '/city/rooms'],
    ['a HEAD', 200, '/city/rooms', { method: 'HEAD' }],
    ['health', 200, '/health/live'],
    ['what was made', 201, '/city/rooms', { method: 'POST', body: '{"name":"Headers"}' }],
    ['an invalid request', 400, '/city/rooms', { method: 'POST', body: '{' }],
    ['a path that is none', 400, '/city/rooms/%zz'],
    ['no token', 401, '/city/rooms', { headers: { authorization: '' } }],
    ['what is forbidden', 403, '/city/reports'],
    ['what is not there', 404, '/nowhere'],
    ['a file that is not there', 404, '/assets/nothing.js'],
    ['a wrong method', 405, '/city/rooms', { method: 'DELETE' }],
    ['what is too large', 413, '/city/rooms', { method: 'POST', body: ' '.repeat(70_000) }],
    [
      'another type',
      415,
      '/city/rooms',
      { method: 'POST', body: 'x', headers: { 'content-type': 'text/plain' } },
    ],
    ['a preflight', 204, '/city/rooms', { method: 'OPTIONS', headers: { origin: 'http://localhost:5173' } }],
    ['the documentation', 200, '/docs'],
    ['its script', 200, '/docs/swagger-initializer.js'],
    ['a static file', 200, '/docs/swagger-ui.css'],
    ['a range that is none', 400, '/docs/swagger-ui.css', { headers: { range: 'bytes=99999999-' } }],
    ['the descriptions', 200, '/openapi.json'],
    ['a poll that is none', 400, '/socket.io/?EIO=4&transport=none'],
    ['a poll of a session nobody has', 400, `${POLL}&sid=nobody`],
    ['a poll of another protocol', 400, '/socket.io/?EIO=3&transport=polling'],
    ['a poll of a foreign page', 403, POLL, { headers: { origin: 'https://evil.example' } }],
  ])('%s: %s', async (_what, status, path, init = {}) => {
    const response = await ask(path, init);
    expect({ status: response.status, ...headersOf(response) }).toEqual({ status, ...EXPECTED });
    await response.arrayBuffer();
  });

  it('are on a poll, and on one refused for its address', async () => {
    const first = await ask(POLL);
    expect({ status: first.status, ...headersOf(first) }).toEqual({ status: 200, ...EXPECTED });
    const second = await ask(POLL);
    expect({ status: second.status, ...headersOf(second) }).toEqual({ status: 429, ...EXPECTED });
  });

  it('let no cache keep what is for one caller, nor an error', async () => {
    for (const path of ['/city/rooms', '/nowhere', '/city/rooms/%zz', '/city/reports', '/secondme/profile']) {
      expect([path, (await ask(path)).headers.get('cache-control')]).toEqual([path, 'no-store']);
    }
  });
});
