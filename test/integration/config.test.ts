/** The environment: what stops the start, and what the limits allow. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { createRest } from '../support/rest.ts';
import type { RestAnswer } from '../support/rest.ts';

/** Runs the server with `env` alone; how it ended and what it said. */
async function run(env: Record<string, string>): Promise<{ code: number | null; lines: string[] }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/main.ts'], {
    env: { PATH: process.env.PATH, ...env },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, lines: said.split('\n').filter(Boolean) };
}

describe('a wrong environment', () => {
  it('stops the start with one readable line for each problem', async () => {
    const { code, lines } = await run({
      NODE_ENV: 'production',
      PORT: 'http',
      ROLE: 'king',
      DATABASE_URL: 'mysql://localhost/city',
      ALLOWED_ORIGINS: 'https://city.example/path',
      AGENTS_TRANSPORT: 'nats',
    });
    expect(code).toBe(1);
    const names = ['ALLOWED_ORIGINS', 'DATABASE_URL', 'JWT_SECRET', 'NATS_URL', 'PORT', 'REDIS_URL', 'ROLE'];
    expect(lines.map((line) => line.split(':')[0]).sort()).toEqual(names);
    for (const line of lines) expect(line.length).toBeLessThan(160);
  });
});

describe('RATE_LIMITS=on', () => {
  let city: City;
  beforeAll(async () => {
    city = await startCity({ env: { RATE_LIMITS: 'on' } });
  });
  afterAll(() => city.stop());

  const many = (count: number, call: (n: number) => Promise<RestAnswer>) =>
    Promise.all(Array.from({ length: count }, (_, n) => call(n)));
  const expectRefusals = (answers: RestAnswer[], allowed: number) => {
    const refused = answers.filter(({ status }) => status === 429);
    expect(answers.length - refused.length).toBeGreaterThanOrEqual(allowed);
    expect(refused.length).toBeGreaterThan(0);
    for (const { headers, body } of refused) {
      expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
      expect(body).toMatchObject({ code: 'rate_limited', status: 429 });
    }
  };

  it.each<[string, number, (rest: ReturnType<typeof createRest>, n: number) => Promise<RestAnswer>]>([
    ['messages', 20, (rest) => rest('POST', '/city/rooms/general/messages', { body: 'x' })],
    ['new rooms', 8, (rest, n) => rest('POST', '/city/rooms', { name: `Limit ${n}` })],
    ['reads', 80, (rest) => rest('GET', '/city/rooms')],
  ])('allows a burst of %s of %i, and refuses a flood', async (what, burst, call) => {
    const sub = `u_${what.replace(' ', '_')}`;
    const rest = await city.rest(sub);
    const first = await many(burst, (n) => call(rest, n));
    expect(first.filter(({ status }) => status >= 400)).toEqual([]);
    expectRefusals(await many(burst * 4, (n) => call(rest, burst + n)), 0);
    // Others are not the worse for it, nor is the same user in what else they do.
    expect((await call(await city.rest(`${sub}_other`), 9_999)).status).toBeLessThan(300);
    if (what !== 'reads') expect((await rest('GET', '/city/feed')).status).toBe(200);
  });

  it('answers rate_limited over a socket, drops signals silently, and disconnects nobody', async () => {
    const socket = await city.socket('/rooms', 'u_chatty');
    await socket.call('room.join', { room_id: 'general' });
    const acks = await Promise.all(
      Array.from({ length: 100 }, () => socket.ack('room.message.send', { room_id: 'general', body: 'x' })),
    );
    const refused = acks.filter(({ ok }) => !ok);
    expect(acks.length - refused.length).toBeGreaterThanOrEqual(20);
    expect(refused.length).toBeGreaterThan(0);
    for (const { error } of refused) {
      expect(error).toMatchObject({ code: 'rate_limited', retryable: true });
      expect(error.retry_after_ms).toBeGreaterThan(0);
    }
    const signals = await Promise.all(
      Array.from({ length: 400 }, () => socket.ack('room.typing', { room_id: 'general', typing: true })),
    );
    expect(signals.filter(({ ok }) => !ok)).toEqual([]);
    expect(socket.raw.connected).toBe(true);

    const presence = await city.socket('/presence', 'u_chatty');
    const beats = await Promise.all(
      Array.from({ length: 400 }, () => presence.ack('presence.heartbeat', { user_id: 'u_chatty' })),
    );
    expect(beats.filter(({ ok }) => !ok)).toEqual([]);
    expect(presence.raw.connected).toBe(true);
    for (const each of [socket, presence]) each.close();
  });
});
