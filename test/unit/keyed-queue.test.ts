import { expect, it } from '@jest/globals';
import { createKeyedQueue } from '../../src/platform/keyed-queue.ts';

/** A task that ends when it is told to. */
function task(log: string[], name: string) {
  let end!: (error?: Error) => void;
  const ended = new Promise<void>((resolve, reject) => {
    end = (error) => (error ? reject(error) : resolve());
  });
  const run = async () => {
    log.push(`${name} begins`);
    await ended;
    log.push(`${name} ends`);
    return name;
  };
  return { run, end };
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

it('runs tasks of one key in order, and of others side by side', async () => {
  const [log, inTurn] = [[] as string[], createKeyedQueue()];
  const [a, b, c] = [task(log, 'a'), task(log, 'b'), task(log, 'c')];
  const results = [inTurn('1', a.run), inTurn('1', b.run), inTurn('2', c.run)];
  b.end();
  c.end();
  await turn();
  expect(log).toEqual(['a begins', 'c begins', 'c ends']);
  a.end();
  expect(await Promise.all(results)).toEqual(['a', 'b', 'c']);
  expect(log.slice(3)).toEqual(['a ends', 'b begins', 'b ends']);
});

it('goes on after a task that failed, and tells only its caller', async () => {
  const [log, inTurn] = [[] as string[], createKeyedQueue()];
  const [a, b] = [task(log, 'a'), task(log, 'b')];
  const failing = inTurn('1', a.run);
  const following = inTurn('1', b.run);
  const thrown = inTurn('1', () => {
    throw new Error('at once');
  });
  a.end(new Error('no'));
  b.end();
  await expect(failing).rejects.toThrow('no');
  await expect(thrown).rejects.toThrow('at once');
  expect(await following).toBe('b');
  expect(await inTurn('1', async () => 'later')).toBe('later');
});
