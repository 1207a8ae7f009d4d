/** Bad tokens over REST; the same go to the handshake and to auth.refresh in events.cases.ts. */
import { base64, forge, HOUR, now } from '../support/tokens.ts';
import { SECRET, tokenOf } from './city.ts';
import { get, restCases } from './rest.ts';
import type { RestRow } from './rest.ts';

const NEVER = '401 unauthenticated';
const claims = (more: object = {}) => ({ sub: 'u_mallory', exp: now() + HOUR, ...more });
const unsigned = (alg: string, signature = '') => `${base64({ alg })}.${base64(claims())}.${signature}`;
const [head, body, signature] = tokenOf().split('.');

/** What is wrong with each. */
export const BAD_TOKENS: Record<string, string> = {
  'alg none': unsigned('none'),
  'alg nOnE': unsigned('nOnE'),
  'alg none, with a signature': unsigned('none', signature),
  'alg HS256, no signature': unsigned('HS256'),
  'the secret of somebody else': tokenOf({}, undefined, 'another-secret-that-is-just-as-long-as-it'),
  'an empty secret': tokenOf({}, undefined, ''),
  'alg HS512 of the right secret': tokenOf({}, { alg: 'HS512' }),
  'alg RS256 of the right secret': tokenOf({}, { alg: 'RS256' }),
  'alg EdDSA': tokenOf({}, { alg: 'EdDSA' }),
  'alg a list': tokenOf({}, { alg: ['HS256'] }),
  'no alg': tokenOf({}, { typ: 'JWT' }),
  'an unknown crit': tokenOf({}, { alg: 'HS256', crit: ['exp'], exp: 1 }),
  'an unencoded payload': tokenOf({}, { alg: 'HS256', b64: false, crit: ['b64'] }),
  'a header that is a list': tokenOf({}, []),
  'a header that is nonsense': `${Buffer.from('nonsense').toString('base64url')}.${body}.${signature}`,
  'a payload that is a list': forge([1], SECRET),
  'a payload of another token': `${head}.${base64(claims({ roles: ['admin'] }))}.${signature}`,
  'a jwk that brings its own key': tokenOf({}, { alg: 'HS256', jwk: { kty: 'oct', k: 'eA' } }, 'x'),
  'a jku of the attacker': tokenOf({}, { alg: 'RS256', jku: 'http://127.0.0.1:1/jwks.json', kid: '1' }, 'x'),
  'an x5u of the attacker': tokenOf({}, { alg: 'RS256', x5u: 'http://127.0.0.1:1/x.pem' }, 'x'),
  'a kid that climbs': tokenOf({}, { alg: 'HS256', kid: '../../../../dev/null' }, ''),
  'a kid of SQL': tokenOf({}, { alg: 'HS256', kid: "x' union select 'x" }, 'x'),
  'no exp': tokenOf({ exp: undefined }),
  'an exp that is text': tokenOf({ exp: `${now() + HOUR}` }),
  'an exp that is null': tokenOf({ exp: null }),
  'an exp of 0': tokenOf({ exp: 0 }),
  'an exp below 0': tokenOf({ exp: -1e300 }),
  'an exp just past': tokenOf({ exp: now() - 1 }),
  'an nbf to come': tokenOf({ nbf: now() + HOUR }),
  'an nbf that is text': tokenOf({ nbf: 'yesterday' }),
  'no sub': tokenOf({ sub: undefined }),
  'a sub without prefix': tokenOf({ sub: 'mallory' }),
  'a sub of an agent': tokenOf({ sub: 'ag_system' }),
  'a sub with NUL': tokenOf({ sub: 'u_a\0' }),
  'a sub with a newline': tokenOf({ sub: 'u_a\n' }),
  'a sub that globs': tokenOf({ sub: 'u_*' }),
  'a sub that is a list': tokenOf({ sub: ['u_mallory'] }),
  'a sub that is an object': tokenOf({ sub: { toString: 'u_mallory' } }),
  'a sub of 65 characters': tokenOf({ sub: `u_${'x'.repeat(65)}` }),
  'a token inside a token': tokenOf({ sub: undefined, token: tokenOf() }, { alg: 'HS256', cty: 'JWT' }),
  'two tokens': `${tokenOf()}.${tokenOf()}`,
  'a JWE': `${base64({ alg: 'dir', enc: 'A256GCM' })}..${'A'.repeat(16)}.AAAA.${'A'.repeat(22)}`,
  '9,000 characters': tokenOf({ filler: 'x'.repeat(6_750) }),
  'dots only': '..',
  'no dots': 'nonsense',
  'a signature cut short': tokenOf().slice(0, -2),
};

const bearer = (authorization: string) => get('/city/home', { token: null, headers: { authorization } });

const rows: RestRow[] = [
  ...Object.entries(BAD_TOKENS).map(([name, token]): RestRow => [name, get('/city/home', { token }), NEVER]),
  ['none', get('/city/home', { token: null }), NEVER],
  ['empty', bearer(''), NEVER],
  ['Bearer alone', bearer('Bearer'), NEVER],
  ['Basic', bearer(`Basic ${Buffer.from(`u_mallory:${SECRET}`).toString('base64')}`), NEVER],
  ['two of them in one header', bearer(`Bearer ${tokenOf()} ${tokenOf()}`), NEVER],
  ['with a comma', bearer(`Bearer ${tokenOf()}, Bearer ${tokenOf()}`), NEVER],
  ['in the query string', get(`/city/home?token=${tokenOf()}`, { token: null }), NEVER],
  [
    'as access_token in the query string',
    get(`/city/home?access_token=${tokenOf()}`, { token: null }),
    NEVER,
  ],
  ['in a cookie', get('/city/home', { token: null, headers: { cookie: `token=${tokenOf()}` } }), NEVER],
  ['past the room for headers', get('/city/home', { token: 'x'.repeat(20_000) }), '431'],
  // A right signature is all that counts: what else the header says asks for nothing to be fetched.
  [
    'good, with a jku',
    get('/city/home', { token: tokenOf({}, { alg: 'HS256', jku: 'http://127.0.0.1:1/' }) }),
    '200',
  ],
  // Base64 read with its padding is the same signature, and nothing goes by the text of a token.
  ['good, with padding', get('/city/home', { token: `${tokenOf()}=` }), '200'],
  ['good, with an exp of 1e308', get('/city/home', { token: tokenOf({ exp: 1e308 }) }), '200'],
  ['good, with an iat that is text', get('/city/home', { token: tokenOf({ iat: 'now' }) }), ['200', NEVER]],
  [
    'good, with a name of 5,000 characters',
    get('/city/home', { token: tokenOf({ name: 'я'.repeat(2_500) }) }),
    '200',
  ],
  [
    'good, with a name of NUL and surrogates',
    get('/city/home', { token: tokenOf({ name: '\0\ud800a\u001b[2J\r\n' }) }),
    '200',
  ],
  ['good, with a name that is an object', get('/city/home', { token: tokenOf({ name: { a: 1 } }) }), '200'],
  ['roles that are text', get('/city/reports', { token: tokenOf({ roles: 'admin' }) }), '403 forbidden'],
  ['roles in each other', get('/city/reports', { token: tokenOf({ roles: [['admin']] }) }), '403 forbidden'],
  [
    'roles as an object',
    get('/city/reports', { token: tokenOf({ roles: { 0: 'admin', length: 1 } }) }),
    '403 forbidden',
  ],
  [
    'roles nobody knows',
    get('/city/reports', { token: tokenOf({ roles: ['root', '__proto__'] }) }),
    '403 forbidden',
  ],
  [
    '900 roles',
    get('/city/reports', { token: tokenOf({ roles: Array.from({ length: 900 }, () => 'x') }) }),
    '403 forbidden',
  ],
];

export const TOKEN_CASES = restCases(rows.map(([name, ...rest]): RestRow => [`a token: ${name}`, ...rest]));
