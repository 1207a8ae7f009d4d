import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Redis } from 'ioredis';
import { readConfig } from '../../src/config.ts';
import { createLimits } from '../../src/platform/limits.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';

const { rates } = readConfig({ DATABASE_URL: 'postgres://localhost/city', REDIS_URL: 'redis://localhost' });

/** The limits of a node whose Redis is away. */
const alone = () =>
  createLimits({
    rates,
    redis: { commands: { status: 'reconnecting' } as Redis },
    log: createLogger('silent'),
    metrics: createMetrics(),
  });

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

describe.each([
  ['send', 5],
  ['new_room', 2],
  ['read', 20],
] as const)('%s', (limit, rate) => {
  it('allows four seconds’ worth at once, and the rate from then on', async () => {
    const limits = alone();
    const take = () => limits.take(limit, 'u_alice');
    for (let n = 0; n < rate * 4; n++) await take();
    for (let n = 0; n < rate * 30; n++) {
      await take();
      jest.advanceTimersByTime(Math.ceil(1_000 / rate));
    }
  });

  it('allows a burst at any moment of somebody who has kept to the rate', async () => {
    for (let quiet = 1; quiet <= 40; quiet++) {
      const limits = alone();
      for (let n = 0; n < quiet; n++) {
        await limits.take(limit, 'u_alice');
        jest.advanceTimersByTime(1_000 / rate);
      }
      for (let n = 0; n < rate * 4; n++) await limits.take(limit, 'u_alice');
    }
  });

  it('refuses a flood with the time to wait, after which it goes on', async () => {
    const limits = alone();
    const flood = async () => {
      for (let n = 0; n < 1_000; n++) await limits.take(limit, 'u_alice');
    };
    const refusal = (await flood().catch((error: unknown) => error)) as {
      code: string;
      retryAfterMs: number;
    };
    expect(refusal.code).toBe('rate_limited');
    expect(refusal.retryAfterMs).toBeGreaterThan(0);
    await limits.take(limit, 'u_bob');
    jest.advanceTimersByTime(refusal.retryAfterMs);
    await limits.take(limit, 'u_alice');
  });
});

describe('without Redis', () => {
  const allowed = async (limit: Parameters<ReturnType<typeof alone>['take']>[0]) => {
    const limits = alone();
    for (let n = 0; ; n++) {
      const code = await limits.take(limit, 'u_alice').then(
        () => undefined,
        (error: { code: string }) => error.code,
      );
      if (code) return [n, code];
    }
  };

  it('a chat has its whole allowance, invocations a quarter, and tokens none', async () => {
    expect(await allowed('send')).toEqual([40, 'rate_limited']);
    expect(await allowed('invoke')).toEqual([10, 'rate_limited']);
    expect(await allowed('token_address')).toEqual([0, 'unavailable']);
  });
});
