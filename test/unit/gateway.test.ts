import { expect, it } from '@jest/globals';
import { z } from 'zod';
import { createGateway } from '../../src/platform/gateway.ts';
import type { AnySocket } from '../../src/platform/io.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createMetrics } from '../../src/platform/metrics.ts';

it('an event does not overtake an earlier one of its socket that waits for its limit', async () => {
  const event = { summary: '', payload: z.strictObject({ n: z.int() }), data: z.object({}) };
  let release = () => {};
  const waits = new Promise<void>((resolve) => (release = resolve));
  const gateway = createGateway<AnySocket, Record<string, typeof event>>({ first: event, second: event }, {
    log: createLogger('silent'),
    metrics: createMetrics(),
    limits: { take: (limit: string) => (limit === 'send' ? waits : Promise.resolve()) },
    authorise: async () => {},
  } as never);
  const order: number[] = [];
  gateway.on('first', { limit: 'send' }, ({ payload }) => void order.push(payload.n));
  gateway.on('second', { limit: 'read' }, ({ payload }) => void order.push(payload.n));

  let receive: (packet: unknown[]) => void = () => {};
  gateway.attach({
    id: 's',
    data: { caller: { id: 'u_alice', expiresAt: Infinity }, address: '10.0.0.1' },
    use: (middleware: typeof receive) => (receive = middleware),
  } as never);
  const acked = [
    ['first', { n: 1 }],
    ['second', { n: 2 }],
  ].map((packet) => new Promise<unknown>((resolve) => receive([...packet, resolve])));
  await new Promise(setImmediate);
  expect(order).toEqual([]);
  release();
  expect(await Promise.all(acked)).toEqual([
    { ok: true, data: {} },
    { ok: true, data: {} },
  ]);
  expect(order).toEqual([1, 2]);
});
