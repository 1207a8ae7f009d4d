/** POST /internal/matrix/presence/online against a homeserver that is a real HTTP server. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';

const PATH = '/internal/matrix/presence/online';
const ME = '@alice:daarion.space';

interface Seen {
  method: string | undefined;
  url: string | undefined;
  authorization: string | undefined;
  body: unknown;
}

let homeserver: Server;
let city: City;
const seen: Seen[] = [];

beforeAll(async () => {
  homeserver = createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => (text += String(piece)));
    request.on('end', () => {
      const { authorization } = request.headers;
      seen.push({ method: request.method, url: request.url, authorization, body: JSON.parse(text) });
      response.writeHead(authorization === 'Bearer good' ? 200 : 403).end('{}');
    });
  });
  await new Promise<void>((resolve) => homeserver.listen(0, '127.0.0.1', resolve));
  const { port } = homeserver.address() as AddressInfo;
  const MATRIX_HOMESERVER_URL = `http://127.0.0.1:${port}`;
  city = await startCity({ nodes: [{ MATRIX_HOMESERVER_URL }, {}] });
});
afterAll(async () => {
  await city.stop();
  homeserver.close();
});

describe('presence on Matrix', () => {
  it('is set with the user’s own token, and in the city with it', async () => {
    const alice = await city.rest('u_alice', 0);
    const observer = await city.socket('/presence', 'u_observer', 1);
    await observer.next('presence.bulk_update');
    for (const [status, inCity] of [
      ['online', 'online'],
      ['unavailable', 'away'],
      ['offline', 'offline'],
    ] as const) {
      const answer = await alice('POST', PATH, {
        matrix_user_id: ME,
        access_token: 'good',
        status,
        status_msg: 'на зв’язку',
      });
      expect(answer).toMatchObject({ status: 200, body: { ok: true, matrix_user_id: ME, status } });
      expect(seen.at(-1)).toEqual({
        method: 'PUT',
        url: `/_matrix/client/v3/presence/${encodeURIComponent(ME)}/status`,
        authorization: 'Bearer good',
        body: { presence: status, status_msg: 'на зв’язку' },
      });
      const { body } = await alice('GET', '/city/presence/u_alice');
      expect(body.status).toBe(inCity);
      const told = await observer.next('presence.update', (update) => {
        return update.user_id === 'u_alice' && update.status === inCity;
      });
      expect(told.status).toBe(inCity);
    }
    observer.close();
  });

  it('refuses what the homeserver refuses, and says when there is none', async () => {
    // Not a word of hex digits, which a request id can hold by chance.
    const request = { matrix_user_id: ME, access_token: 'wrong', status: 'online' };
    const refused = await (await city.rest('u_bob', 0))('POST', PATH, request);
    expect(refused).toMatchObject({ status: 403, body: { code: 'forbidden' } });
    expect(JSON.stringify(refused.body)).not.toContain('wrong');
    expect((await (await city.rest('u_bob', 0))('GET', '/city/presence/u_bob')).body.status).toBe('offline');

    const none = await (await city.rest('u_bob', 1))('POST', PATH, request);
    expect(none).toMatchObject({ status: 503, body: { code: 'matrix_unavailable' } });
    expect(Number(none.headers.get('retry-after'))).toBeGreaterThan(0);
  });

  it('takes nothing but its own fields', async () => {
    const rest = await city.rest('u_carol', 0);
    for (const wrong of [
      { matrix_user_id: 'alice', access_token: 'good', status: 'online' },
      { matrix_user_id: ME, access_token: 'a\r\nb', status: 'online' },
      { matrix_user_id: ME, access_token: 'good', status: 'away' },
      { matrix_user_id: ME, access_token: 'good', status: 'online', device: 'phone' },
    ]) {
      expect((await rest('POST', PATH, wrong)).status).toBe(400);
    }
  });
});
