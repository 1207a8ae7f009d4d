/** Who is calling: tokens on REST and sockets, keys of every kind, names and roles, expiry and refresh. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHmac, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import type { JWTPayload } from 'jose';
import { io } from 'socket.io-client';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-that-only-this-test-knows-0123456789';
const HOUR = 3600;
const now = () => Math.floor(Date.now() / 1000);
const base64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token signed by hand, so that nothing corrects it. */
function forge(payload: object, header: object = { alg: 'HS256', typ: 'JWT' }, secret = SECRET): string {
  const content = `${base64(header)}.${base64(payload)}`;
  return `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
}
const sign = (alg: string, key: KeyObject, header: object = {}, claims: JWTPayload = {}) =>
  new SignJWT({ sub: 'u_alice', exp: now() + HOUR, ...claims })
    .setProtectedHeader({ alg, ...header })
    .sign(key);
const good = (more: object = {}) => forge({ sub: 'u_alice', exp: now() + HOUR, ...more });

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();

let city: City;
beforeAll(async () => {
  city = await startCity({ nodes: [{ JWT_SECRET: SECRET, JWT_ISSUER: 'daarion', JWT_AUDIENCE: 'city' }] });
});
afterAll(() => city.stop());

/** The status and code that a token gets on REST, and the code at the handshakes. */
async function tried(token: string | undefined, node = 0) {
  const { status, body } = await createRest(city.url(node), token)('GET', '/city/rooms');
  const codes = await Promise.all(
    ['/rooms', '/presence'].map((namespace) =>
      connect(city.url(node) + namespace, token).then(
        (socket) => (socket.close(), 'ok'),
        (error: { data?: { code?: string } }) => error.data?.code,
      ),
    ),
  );
  return [status, body.code ?? 'ok', ...codes];
}
const OK = [200, 'ok', 'ok', 'ok'];
const REFUSED = [401, 'unauthenticated', 'unauthenticated', 'unauthenticated'];
const UNAVAILABLE = [503, 'unavailable', 'unavailable', 'unavailable'];
const RIGHT = { iss: 'daarion', aud: 'city' };

describe('a token signed with the secret', () => {
  it('is accepted', async () => {
    expect(await tried(good(RIGHT))).toEqual(OK);
    expect(await tried(good({ ...RIGHT, aud: ['other', 'city'] }))).toEqual(OK);
    expect(await tried(forge({ ...RIGHT, sub: 'svc_a-b_1', exp: now() + HOUR }))).toEqual(OK);
    expect(await tried(good({ ...RIGHT, exp: 1e300 }))).toEqual(OK);
  });

  it.each<[string, () => string | undefined]>([
    ['none', () => undefined],
    ['an empty one', () => ''],
    ['nonsense', () => 'nonsense'],
    ['one of another secret', () => forge({ ...RIGHT, sub: 'u_alice', exp: now() + HOUR }, undefined, 'x')],
    ['alg none', () => `${base64({ alg: 'none' })}.${base64({ ...RIGHT, sub: 'u_a', exp: now() + HOUR })}.`],
    ['alg HS512', () => forge({ ...RIGHT, sub: 'u_alice', exp: now() + HOUR }, { alg: 'HS512' })],
    ['no alg', () => forge({ ...RIGHT, sub: 'u_alice', exp: now() + HOUR }, { typ: 'JWT' })],
    [
      'an unknown crit',
      () => forge({ ...RIGHT, sub: 'u_a', exp: now() + 9 }, { alg: 'HS256', crit: ['x'], x: 1 }),
    ],
    ['no exp', () => forge({ ...RIGHT, sub: 'u_alice' })],
    ['no sub', () => forge({ ...RIGHT, exp: now() + HOUR })],
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
  ])('is refused: %s', async (_, token) => expect(await tried(token())).toEqual(REFUSED));

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
    expect(await tried(await sign(alg, pair.privateKey), node)).toEqual(OK);
    // The public key is no secret: a token signed with it as if it were one is a forgery.
    const forged = forge({ sub: 'u_alice', exp: now() + HOUR }, { alg: 'HS256' }, pem(pair.publicKey));
    expect(await tried(forged, node)).toEqual(REFUSED);
    for (const [other, { privateKey }] of [
      ['RS256', rsa],
      ['ES256', ec],
      ['EdDSA', ed],
    ] as const) {
      if (other !== alg) expect(await tried(await sign(other, privateKey), node)).toEqual(REFUSED);
    }
    if (alg === 'RS256') expect(await tried(await sign('PS256', rsa.privateKey), node)).toEqual(REFUSED);
    const stranger = generateKeyPairSync('ed25519');
    if (alg === 'EdDSA') expect(await tried(await sign(alg, stranger.privateKey), node)).toEqual(REFUSED);
  });

  it('takes what a JWKS server publishes', async () => {
    const entries = [rsa, ec, ed].map(({ publicKey }, n) => ({
      ...publicKey.export({ format: 'jwk' }),
      kid: `k${n}`,
    }));
    keys = entries;
    const node = await startWith({ JWT_JWKS_URL: jwksUrl() });
    expect(await tried(await sign('RS256', rsa.privateKey, { kid: 'k0' }), node)).toEqual(OK);
    expect(await tried(await sign('ES256', ec.privateKey, { kid: 'k1' }), node)).toEqual(OK);
    expect(await tried(await sign('EdDSA', ed.privateKey, { kid: 'k2' }), node)).toEqual(OK);
    expect(await tried(await sign('RS256', rsa.privateKey), node)).toEqual(OK);
    expect(await tried(await sign('RS256', rsa.privateKey, { kid: 'nobody' }), node)).toEqual(REFUSED);
    expect(await tried(await sign('RS256', rsa.privateKey, { kid: 'k1' }), node)).toEqual(REFUSED);
    expect(await tried(good(), node)).toEqual(REFUSED);
  });

  it.each<[string, [number, string]]>([
    ['fails', [500, 'oops']],
    ['answers no JSON', [200, '<html>']],
    ['answers no key set', [200, '{"keys":7}']],
  ])('is unavailable, and blames nobody, while the JWKS server %s', async (_, answer) => {
    answerWith = () => answer;
    const node = await startWith({ JWT_JWKS_URL: jwksUrl() });
    const token = await sign('RS256', rsa.privateKey, { kid: 'k0' });
    expect(await tried(token, node)).toEqual(UNAVAILABLE);
    answerWith = undefined;
    expect(await tried(token, node)).toEqual(OK);
  });
});

describe('origins of handshakes', () => {
  it.each(['polling', 'websocket'])('are checked over %s', async (transport) => {
    const arrive = (origin?: string) =>
      connect(`${city.url()}/rooms`, good(RIGHT), {
        transports: [transport],
        ...(origin ? { extraHeaders: { Origin: origin } } : {}),
      }).then(
        (socket) => (socket.close(), true),
        () => false,
      );
    const own = city.url();
    const arrived = [undefined, own, 'http://localhost:3000', 'https://evil.example', 'null'].map(arrive);
    expect(await Promise.all(arrived)).toEqual([true, true, true, false, false]);
  });
});

describe('a live connection', () => {
  const both = async (token: string) => {
    const rooms = await connect(`${city.url()}/rooms`, token, { forceNew: true });
    const presence = rooms.raw.io.socket('/presence', { auth: { token } });
    const events: { name: string; payload: unknown }[] = [];
    presence.onAny((name: string, payload: unknown) => events.push({ name, payload }));
    presence.connect();
    await until(() => presence.connected, 'the second namespace');
    return { rooms, presence, events };
  };

  it('is told before its token expires, and is cut from both namespaces when it does', async () => {
    const exp = now() + 2;
    const { rooms, presence, events } = await both(good({ ...RIGHT, exp }));
    const notice = { expires_at: new Date(exp * 1000).toISOString() };
    expect(await rooms.next('auth.expiring')).toEqual(notice);
    await until(() => events.some(({ name }) => name === 'auth.expiring'), 'the notice on /presence');
    expect(events.find(({ name }) => name === 'auth.expiring')!.payload).toEqual(notice);
    const reasons: string[] = [];
    for (const socket of [rooms.raw, presence]) socket.on('disconnect', (reason) => reasons.push(reason));
    await until(() => reasons.length === 2, 'both cut');
    expect(reasons).toEqual(['io server disconnect', 'io server disconnect']);
    expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000 - 50);
    rooms.close();
  });

  it('goes on with a newer token of the same user, whichever namespace hears of it', async () => {
    const exp = now() + 2;
    const { rooms, presence } = await both(good({ ...RIGHT, exp }));
    const cuts: string[] = [];
    for (const socket of [rooms.raw, presence]) socket.on('disconnect', (reason) => cuts.push(reason));
    const later = now() + HOUR;
    const answer = await presence.emitWithAck('auth.refresh', { token: good({ ...RIGHT, exp: later }) });
    expect(answer).toEqual({ ok: true, data: { expires_at: new Date(later * 1000).toISOString() } });
    await until(() => Date.now() > exp * 1000 + 100, 'the end of the first token');
    expect(await rooms.ack('room.read', { room_id: 'general', seq: 0 })).toMatchObject({ ok: true });
    expect(cuts).toEqual([]);
    rooms.close();
  });

  it('takes the roles and the name of the newer token', async () => {
    const socket = await connect(`${city.url()}/rooms`, good({ ...RIGHT, sub: 'u_promoted', name: 'Old' }));
    const token = good({ ...RIGHT, sub: 'u_promoted', name: 'New', roles: ['moderator'] });
    await socket.call('auth.refresh', { token });
    const room_id = 'welcome';
    const { message } = await socket.call('room.message.send', { room_id, body: 'x' });
    expect(message.username).toBe('New');
    const { messages } = await socket.call('room.join', { room_id, since: 0 });
    const other = messages.find(({ author_agent_id }: { author_agent_id: string }) => author_agent_id);
    expect(await socket.ack('room.message.delete', { room_id, message_id: other.id })).toMatchObject({
      ok: true,
    });
    socket.close();
  });

  it('refuses a refresh with a token that is not good, or not the same user’s, and keeps the old one', async () => {
    const { rooms } = await both(good(RIGHT));
    const refresh = async (payload: unknown) => (await rooms.ack('auth.refresh', payload)).error?.code;
    expect(await refresh({ token: good({ ...RIGHT, sub: 'u_mallory' }) })).toBe('forbidden');
    expect(await refresh({ token: good({ ...RIGHT, exp: now() - 1 }) })).toBe('unauthenticated');
    expect(await refresh({ token: 'nonsense' })).toBe('unauthenticated');
    expect(await refresh({ token: 7 })).toBe('invalid');
    expect(await refresh({})).toBe('invalid');
    const { data } = await rooms.ack('auth.refresh', { token: good({ ...RIGHT, exp: 1e300 }) });
    expect(new Date(data.expires_at).getTime()).toBeGreaterThan(Date.now());
    expect(await rooms.ack('room.read', { room_id: 'general', seq: 0 })).toMatchObject({ ok: true });
    rooms.close();
  });
});
