import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createLimits } from '../../src/platform/limits.ts';

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

describe.each([
  ['message', 5],
  ['new_room', 2],
  ['read', 20],
] as const)('%s', (limit, rate) => {
  it('allows four seconds’ worth at once, and the rate from then on', async () => {
    const limits = createLimits(true);
    const take = () => limits.take(limit, 'u_alice');
    for (let n = 0; n < rate * 4; n++) await take();
    for (let n = 0; n < rate * 30; n++) {
      await take();
      jest.advanceTimersByTime(Math.ceil(1_000 / rate));
    }
  });

  it('refuses a flood with the time to wait, after which it goes on', async () => {
    const limits = createLimits(true);
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

it('allows everything when off', async () => {
  const limits = createLimits(false);
  for (let n = 0; n < 1_000; n++) await limits.take('message', 'u_alice');
});
