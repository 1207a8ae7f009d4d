/** Whose allowance a request draws on: the address behind the configured number of proxies, whatever a client says. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort } from '../../dev/services/programs.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { inRedis } from '../support/counted.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';

const ALLOWED = 8;
const TRIES = 12;
/** More than a window of the limits lasts. */
const WINDOW_MS = 4_100;

let city: City;
const opsPorts: number[] = [];
beforeAll(async () => {
  opsPorts.push(await freePort(), await freePort());
  const [door, inner] = opsPorts.map((port) => ({ OPS_PORT: String(port) }));
  city = await startCity({
    // A node with everybody at its own door, and one behind two proxies.
    nodes: [door!, { ...inner, TRUST_PROXY_HOPS: '2' }],
    env: { RATE_LIMITS: 'on', LIMIT_CONNECT_ADDRESS: '1', LIMIT_REQUEST_ADDRESS: '1' },
  });
});
afterAll(() => city.stop());

/** How many of `TRIES` at once get through, the n-th with `forwarded(n)` as its X-Forwarded-For. */
async function allowed(
  way: 'rest' | 'polling' | 'websocket',
  node: number,
  forwarded: (n: number) => string | undefined,
): Promise<number> {
  const token = await city.token('u_here');
  const tries = Array.from({ length: TRIES }, async (_, n) => {
    const value = forwarded(n);
    const headers: Record<string, string> = value === undefined ? {} : { 'X-Forwarded-For': value };
    if (way === 'rest') {
      const { status } = await createRest(city.url(node), token)('GET', '/city/rooms', undefined, headers);
      expect([200, 429]).toContain(status);
      return status === 200;
    }
    return connect(`${city.url(node)}/rooms`, token, { extraHeaders: headers, transports: [way] }).then(
      (socket) => (socket.close(), true),
      () => false,
    );
  });
  return (await Promise.all(tries)).filter(Boolean).length;
}

// Each row has addresses of its own, but for those at the door, which all are 127.0.0.1.
describe.each(['rest', 'polling', 'websocket'] as const)('over %s', (way) => {
  const net = { rest: 1, polling: 2, websocket: 3 }[way];

  it.each([
    ['clients at one address', (n: number) => `9.9.9.${n}, 10.${net}.0.1, 192.0.2.1`, ALLOWED],
    ['clients at different addresses', (n: number) => `10.${net}.1.${n}, 192.0.2.1`, TRIES],
    [
      'the same address in two notations',
      (n: number) => (n % 2 ? `10.${net}.2.1, 192.0.2.1` : `::ffff:10.${net}.2.1, 192.0.2.1`),
      ALLOWED,
    ],
    ['addresses of one /64', (n: number) => `2001:db8:0:${net}::${n}, 192.0.2.1`, ALLOWED],
    ['addresses of different /64s', (n: number) => `2001:db8:${net}:${n}::1, 192.0.2.1`, TRIES],
  ])('behind two proxies: %s', async (_, forwarded, expected) => {
    expect(await inRedis(opsPorts, () => allowed(way, 1, forwarded), WINDOW_MS)).toBe(expected);
  });
});

describe('at its own door', () => {
  // 127.0.0.1 has one allowance of each kind, so both ways of handshaking share theirs.
  it('a header that a client invents counts for nothing over REST', async () => {
    const flood = async () => [
      await allowed('rest', 0, (n) => `10.0.0.${n}`),
      await allowed('rest', 0, () => undefined),
    ];
    expect(await inRedis(opsPorts, flood, WINDOW_MS)).toEqual([ALLOWED, 0]);
  });

  it('a header that a client invents counts for nothing in a handshake', async () => {
    const flood = async () => [
      await allowed('websocket', 0, (n) => `10.0.0.${n}`),
      await allowed('polling', 0, (n) => `10.0.0.${n}`),
    ];
    expect(await inRedis(opsPorts, flood, WINDOW_MS)).toEqual([ALLOWED, 0]);
  });
});

it('a refused handshake says when to come again', async () => {
  const handshake = () =>
    fetch(`${city.url(1)}/socket.io/?EIO=4&transport=polling`, {
      headers: { 'x-forwarded-for': '10.4.0.1, 192.0.2.1' },
    });
  const answers = await Promise.all(Array.from({ length: TRIES }, handshake));
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(TRIES - ALLOWED);
  expect(Number(refused[0]!.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(await refused[0]!.json()).toMatchObject({ code: 'rate_limited', status: 429 });
});

it('health is for everybody, however often', async () => {
  const rest = createRest(city.url(0), undefined);
  const answers = await Promise.all(Array.from({ length: 40 }, () => rest('GET', '/health/ready')));
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
});
