/** Tokens of an identity provider: public keys and key servers. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { forge, HOUR, now, OK, REFUSED, tried, UNAVAILABLE } from '../support/tokens.ts';

const sign = (alg: string, key: KeyObject, header: object = {}) =>
  new SignJWT({ sub: 'u_alice', exp: now() + HOUR }).setProtectedHeader({ alg, ...header }).sign(key);

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();

let city: City;
beforeAll(async () => {
  city = await startCity();
});
afterAll(() => city.stop());

describe('other kinds of keys', () => {
  let keys: object[] = [];
  let answerWith: ((status: number) => [number, string]) | undefined;
  const server = createServer((_request, response) => {
    const [status, body] = answerWith?.(200) ?? [200, JSON.stringify({ keys })];
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  });
  beforeAll(() => new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  const jwksUrl = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  const startWith = async (env: Record<string, string>) => {
    await city.start({ JWT_SECRET: '', ...env });
    return city.apps.length - 1;
  };

  it.each([
    ['RS256', rsa],
    ['ES256', ec],
    ['EdDSA', ed],
  ])('takes %s with JWT_PUBLIC_KEY, and nothing else', async (alg, pair) => {
    const node = await startWith({ JWT_PUBLIC_KEY: pem(pair.publicKey).replaceAll('\n', '\\n') });
    expect(await tried(city.url(node), await sign(alg, pair.privateKey))).toEqual(OK);
    // The public key is no secret: a token signed with it as if it were one is a forgery.
    const forged = forge({ sub: 'u_alice', exp: now() + HOUR }, pem(pair.publicKey));
    expect(await tried(city.url(node), forged)).toEqual(REFUSED);
    for (const [other, { privateKey }] of [
      ['RS256', rsa],
      ['ES256', ec],
      ['EdDSA', ed],
    ] as const) {
      if (other !== alg) expect(await tried(city.url(node), await sign(other, privateKey))).toEqual(REFUSED);
    }
    if (alg === 'RS256')
      expect(await tried(city.url(node), await sign('PS256', rsa.privateKey))).toEqual(REFUSED);
    const stranger = generateKeyPairSync('ed25519');
    if (alg === 'EdDSA')
      expect(await tried(city.url(node), await sign(alg, stranger.privateKey))).toEqual(REFUSED);
  });

  it('takes what a JWKS server publishes', async () => {
    const entries = [rsa, ec, ed].map(({ publicKey }, n) => ({
      ...publicKey.export({ format: 'jwk' }),
      kid: `k${n}`,
    }));
    keys = entries;
    const node = await startWith({ JWT_JWKS_URL: jwksUrl() });
    expect(await tried(city.url(node), await sign('RS256', rsa.privateKey, { kid: 'k0' }))).toEqual(OK);
    expect(await tried(city.url(node), await sign('ES256', ec.privateKey, { kid: 'k1' }))).toEqual(OK);
    expect(await tried(city.url(node), await sign('EdDSA', ed.privateKey, { kid: 'k2' }))).toEqual(OK);
    expect(await tried(city.url(node), await sign('RS256', rsa.privateKey))).toEqual(OK);
    expect(await tried(city.url(node), await sign('RS256', rsa.privateKey, { kid: 'nobody' }))).toEqual(
      REFUSED,
    );
    expect(await tried(city.url(node), await sign('RS256', rsa.privateKey, { kid: 'k1' }))).toEqual(REFUSED);
    expect(await tried(city.url(node), forge({ sub: 'u_alice', exp: now() + HOUR }, 'x'.repeat(32)))).toEqual(
      REFUSED,
    );
  });

  it.each<[string, [number, string]]>([
    ['fails', [500, 'oops']],
    ['answers no JSON', [200, '<html>']],
    ['answers no key set', [200, '{"keys":7}']],
  ])('is unavailable, and blames nobody, while the JWKS server %s', async (_, answer) => {
    answerWith = () => answer;
    const node = await startWith({ JWT_JWKS_URL: jwksUrl() });
    const token = await sign('RS256', rsa.privateKey, { kid: 'k0' });
    expect(await tried(city.url(node), token)).toEqual(UNAVAILABLE);
    answerWith = undefined;
    expect(await tried(city.url(node), token)).toEqual(OK);
  });
});
