/** Who is calling: tokens signed with the secret, names, roles, the development token. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { io } from 'socket.io-client';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { base64, forge, HOUR, now, OK, REFUSED, tried } from '../support/tokens.ts';

const SECRET = 'a-secret-that-only-this-test-knows-0123456789';
const RIGHT = { iss: 'daarion', aud: 'city' };
const good = (more: object = {}) => forge({ sub: 'u_alice', exp: now() + HOUR, ...more }, SECRET);

let city: City;
beforeAll(async () => {
  city = await startCity({ nodes: [{ JWT_SECRET: SECRET, JWT_ISSUER: 'daarion', JWT_AUDIENCE: 'city' }] });
});
afterAll(() => city.stop());

describe('a token signed with the secret', () => {
  it('is accepted', async () => {
    expect(await tried(city.url(), good(RIGHT))).toEqual(OK);
    expect(await tried(city.url(), good({ ...RIGHT, aud: ['other', 'city'] }))).toEqual(OK);
    expect(await tried(city.url(), forge({ ...RIGHT, sub: 'svc_a-b_1', exp: now() + HOUR }, SECRET))).toEqual(
      OK,
    );
    expect(await tried(city.url(), good({ ...RIGHT, exp: 1e300 }))).toEqual(OK);
  });

  it.each<[string, () => string | undefined]>([
    ['none', () => undefined],
    ['an empty one', () => ''],
    ['nonsense', () => 'nonsense'],
    ['one of another secret', () => forge({ ...RIGHT, sub: 'u_alice', exp: now() + HOUR }, 'x')],
    ['alg none', () => `${base64({ alg: 'none' })}.${base64({ ...RIGHT, sub: 'u_a', exp: now() + HOUR })}.`],
    ['alg HS512', () => forge({ ...RIGHT, sub: 'u_alice', exp: now() + HOUR }, SECRET, { alg: 'HS512' })],
    ['no alg', () => forge({ ...RIGHT, sub: 'u_alice', exp: now() + HOUR }, SECRET, { typ: 'JWT' })],
    [
      'an unknown crit',
      () => forge({ ...RIGHT, sub: 'u_a', exp: now() + 9 }, SECRET, { alg: 'HS256', crit: ['x'], x: 1 }),
    ],
    ['no exp', () => forge({ ...RIGHT, sub: 'u_alice' }, SECRET)],
    ['no sub', () => forge({ ...RIGHT, exp: now() + HOUR }, SECRET)],
    ['an exp that is text', () => good({ ...RIGHT, exp: `${now() + HOUR}` })],
    ['an exp just past', () => good({ ...RIGHT, exp: now() - 1 })],
    ['an nbf to come', () => good({ ...RIGHT, nbf: now() + HOUR })],
    ['no issuer', () => good({ aud: 'city' })],
    ['another issuer', () => good({ ...RIGHT, iss: 'elsewhere' })],
    ['no audience', () => good({ iss: 'daarion' })],
    ['another audience', () => good({ ...RIGHT, aud: ['other'] })],
    ['a sub without prefix', () => good({ ...RIGHT, sub: 'alice' })],
    ['a sub of an agent', () => good({ ...RIGHT, sub: 'ag_guide' })],
    ['a sub with a space', () => good({ ...RIGHT, sub: 'u_a b' })],
    ['a sub with a newline', () => good({ ...RIGHT, sub: 'u_alice\n' })],
    ['an empty sub', () => good({ ...RIGHT, sub: 'u_' })],
    ['a sub too long', () => good({ ...RIGHT, sub: `u_${'x'.repeat(65)}` })],
    ['a sub that is no text', () => good({ ...RIGHT, sub: 7 })],
  ])('is refused: %s', async (_, token) => expect(await tried(city.url(), token())).toEqual(REFUSED));

  it('is refused from its expiry on, however often it was accepted before', async () => {
    const exp = now() + 6;
    const token = good({ ...RIGHT, exp });
    expect(await tried(city.url(), token)).toEqual(OK);
    const rest = createRest(city.url(), token);
    let accepted = 0;
    for (;;) {
      const askedAt = Date.now();
      const { status } = await rest('GET', '/city/presence');
      if (askedAt >= exp * 1000) {
        expect(status).toBe(401);
        break;
      }
      if (status === 200) accepted += 1;
    }
    expect(accepted).toBeGreaterThan(0);
    expect(await tried(city.url(), token)).toEqual(REFUSED);
  });

  it('vouches for no other that resembles it', async () => {
    const token = good(RIGHT);
    expect(await tried(city.url(), token)).toEqual(OK);
    const [header, payload, signature] = token.split('.') as [string, string, string];
    for (const other of [
      `${header}.${base64({ ...RIGHT, sub: 'u_bob', exp: now() + HOUR })}.${signature}`,
      `${header}.${payload}.`,
      `${header}.${payload}.${signature.slice(0, -2)}`,
    ]) {
      expect(await tried(city.url(), other)).toEqual(REFUSED);
    }
  });

  it('is refused anywhere but in the Authorization header', async () => {
    const token = good(RIGHT);
    for (const query of ['token', 'access_token', 'auth']) {
      const answer = await createRest(city.url(), undefined)('GET', `/city/rooms?${query}=${token}`);
      expect(answer.status).toBe(401);
    }
    for (const authorization of [token, `Basic ${token}`, `Bearer ${token} x`, 'Bearer', `Token ${token}`]) {
      const rest = createRest(city.url(), undefined);
      const { status, headers } = await rest('GET', '/city/rooms', undefined, { authorization });
      expect([status, headers.get('www-authenticate')]).toEqual([401, expect.stringMatching(/^Bearer/)]);
    }
    const raw = connect(`${city.url()}/rooms`, undefined, {
      query: { token },
      extraHeaders: { authorization: `Bearer ${token}` },
    });
    await expect(raw).rejects.toMatchObject({ data: { code: 'unauthenticated' } });
    for (const auth of [
      { token: { toString: token } },
      { token: [token] },
      { Authorization: token },
      { token: 1 },
    ]) {
      const socket = io(`${city.url()}/rooms`, { auth, forceNew: true, reconnection: false });
      const error = await new Promise<Error & { data?: object }>((resolve) => {
        socket.once('connect_error', resolve);
      });
      expect(error.data).toMatchObject({ code: 'unauthenticated' });
      socket.close();
    }
  });
});

it('the default namespace refuses with a code', async () => {
  await expect(connect(`${city.url()}/`, good(RIGHT))).rejects.toMatchObject({ data: { code: 'not_found' } });
});

describe('names and roles', () => {
  const usernameOf = async (name: unknown, sub: string) => {
    const rest = createRest(city.url(), good({ ...RIGHT, sub, name }));
    return (await rest('POST', '/city/rooms/general/messages', { body: 'hello' })).body.username;
  };

  it.each([
    ['Оля 🌻', 'Оля 🌻'],
    ['🌻'.repeat(100), '🌻'.repeat(80)],
    ['', 'User-1234'],
    [' \t\u200b', 'User-1234'],
    [7, 'User-1234'],
    [null, 'User-1234'],
    [['A'], 'User-1234'],
    [{ toString: 'A' }, 'User-1234'],
  ])('calls %j %j', async (name, username) => {
    expect(
      await usernameOf(name, `u_${Buffer.from(JSON.stringify(name)).toString('hex').slice(0, 40)}-1234`),
    ).toBe(username);
  });

  it('stores a name with NUL or half a character without them', async () => {
    const username = await usernameOf('A\0b\ud800c', 'u_odd_name');
    expect(username).toBe('Abc');
  });

  it.each([
    [['admin'], 200],
    [['citizen', 'moderator'], 200],
    [['unknown', 'moderator'], 200],
    [['citizen'], 403],
    [['service'], 403],
    [[], 403],
    ['admin', 403],
    [{ 0: 'admin' }, 403],
    [['Admin'], 403],
    [null, 403],
  ])('lets roles %j delete what another wrote: %i', async (roles, status) => {
    const author = createRest(city.url(), good({ ...RIGHT, sub: 'u_author' }));
    const { body } = await author('POST', '/city/rooms/general/messages', { body: 'x' });
    const other = createRest(city.url(), good({ ...RIGHT, sub: 'u_other', roles }));
    expect((await other('DELETE', `/city/rooms/general/messages/${body.id}`)).status).toBe(status);
  });
});

describe('POST /auth/dev-token', () => {
  it('issues a token for anybody, in development', async () => {
    const rest = createRest(city.url(), undefined);
    const { status, body } = await rest('POST', '/auth/dev-token', {
      user_id: 'u_dev',
      name: 'Dev',
      roles: ['admin'],
    });
    expect([status, Object.keys(body)]).toEqual([201, ['token', 'expires_at']]);
    expect(Date.parse(body.expires_at)).toBeGreaterThan(Date.now());
    expect(await tried(city.url(), body.token)).toEqual(OK);
    for (const wrong of [
      {},
      { user_id: 'dev' },
      { user_id: 'u_dev', roles: ['king'] },
      { user_id: 'u_dev', x: 1 },
    ]) {
      expect((await rest('POST', '/auth/dev-token', wrong)).status).toBe(400);
    }
  });
});
