/** What nodes have counted, read from their metrics. */
import { setTimeout as sleep } from 'node:timers/promises';

/** What the nodes behind `opsPorts` have counted together as `metric`, of one limit or of all. */
export async function countedOf(opsPorts: number[], metric: string, limit = '\\w+'): Promise<number> {
  const counts = opsPorts.map(async (port) => {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const found = text.matchAll(new RegExp(`^${metric}{limit="${limit}"} (\\d+)`, 'gm'));
    return [...found].reduce((sum, [, count]) => sum + Number(count), 0);
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/**
 * What comes of `act` while Redis answers the limits in time: on a machine that stalls, a node counts alone for three
 * seconds, as it should, and `act` is repeated after `pauseMs`.
 */
export async function inRedis<T>(opsPorts: number[], act: () => Promise<T>, pauseMs = 0): Promise<T> {
  for (;;) {
    const before = await countedOf(opsPorts, 'city_limits_alone_total');
    const result = await act();
    if ((await countedOf(opsPorts, 'city_limits_alone_total')) === before) return result;
    await sleep(pauseMs);
  }
}
