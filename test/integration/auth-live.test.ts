/** Live connections: origins, expiry and refresh of tokens. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { connect } from '../support/sockets.ts';
import { forge, HOUR, now } from '../support/tokens.ts';
import { until } from '../support/until.ts';

const SECRET = 'a-secret-that-only-this-test-knows-0123456789';
const RIGHT = { iss: 'daarion', aud: 'city' };
const good = (more: object = {}) => forge({ sub: 'u_alice', exp: now() + HOUR, ...more }, SECRET);

let city: City;
beforeAll(async () => {
  city = await startCity({ nodes: [{ JWT_SECRET: SECRET, JWT_ISSUER: 'daarion', JWT_AUDIENCE: 'city' }] });
});
afterAll(() => city.stop());

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
    await until(() => presence.connected, 'the second namespace');
    return { rooms, presence, events };
  };

  it('is told before its token expires, and is cut from both namespaces when it does', async () => {
    const exp = now() + 6;
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
    const exp = now() + 6;
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
