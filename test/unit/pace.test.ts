/** A few calls at once, then one a second, and of those that must wait only the last. */
import { expect, it } from '@jest/globals';
import { createPace } from '../../src/presence/pace.ts';
import { until } from '../support/until.ts';

it('makes the first calls, then the last of the rest, and keeps keys apart', async () => {
  const pace = createPace(() => {});
  const made: string[] = [];
  const call = (key: string, name: string) => pace.run(key, async () => void made.push(`${key}${name}`));
  for (let n = 1; n <= 20; n++) await call('a', `${n}`);
  await call('b', '1');
  expect(made).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'b1']);
  await until(() => made.length > 7, 'the last of them is made');
  expect(made.slice(7)).toEqual(['a20']);
});

it('forgets what waits, passes on what fails at once, and reports what fails later', async () => {
  const failures: unknown[] = [];
  const pace = createPace((error) => failures.push(error));
  const fail = () => Promise.reject(new Error('away'));
  await expect(pace.run('a', fail)).rejects.toThrow('away');
  for (let n = 0; n < 8; n++) {
    await pace.run('a', async () => {});
    await pace.run('b', async () => {});
  }
  await pace.run('a', fail);
  await pace.run('b', fail);
  pace.forget('b');
  await until(() => failures.length > 0, 'the failure is reported');
  expect(failures).toHaveLength(1);
});
