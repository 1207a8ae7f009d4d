import { expect, it } from '@jest/globals';
import { createBatcher, createSemaphore } from '../../src/platform/batcher.ts';

/** A batcher whose runs end when they are told to; each answers its items in capitals. */
function runs(semaphore?: ReturnType<typeof createSemaphore>) {
  const begun: { items: string[]; end: (error?: Error) => void }[] = [];
  const ask = createBatcher(
    (items: string[]) =>
      new Promise<string[]>((resolve, reject) => {
        const end = (error?: Error) =>
          error ? reject(error) : resolve(items.map((item) => item.toUpperCase()));
        begun.push({ items, end });
      }),
    semaphore,
  );
  return { begun, ask };
}
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

it('serves nobody by a run that began before they asked, and all who asked meanwhile by the next', async () => {
  const { begun, ask } = runs();
  const first = ask('room', 'a');
  await turn();
  const others = [ask('room', 'b'), ask('room', 'c')];
  await turn();
  expect(begun.map(({ items }) => items)).toEqual([['a']]);
  begun[0]!.end();
  expect(await first).toBe('A');
  await turn();
  const late = ask('room', 'd');
  begun[1]!.end();
  expect(await Promise.all(others)).toEqual(['B', 'C']);
  await turn();
  begun[2]!.end();
  expect(await late).toBe('D');
  expect(begun.map(({ items }) => items)).toEqual([['a'], ['b', 'c'], ['d']]);
});

it('keeps keys apart, at most as many side by side as the semaphore has places', async () => {
  const { begun, ask } = runs(createSemaphore(2));
  const results = ['a', 'b', 'c'].map((item) => ask(`room ${item}`, item));
  await turn();
  expect(begun.map(({ items }) => items)).toEqual([['a'], ['b']]);
  // Whoever asks before the run begins is served by it, however long it has waited.
  results.push(ask('room c', 'd'));
  begun[1]!.end();
  await turn();
  expect(begun.map(({ items }) => items)).toEqual([['a'], ['b'], ['c', 'd']]);
  begun[0]!.end();
  begun[2]!.end();
  expect(await Promise.all(results)).toEqual(['A', 'B', 'C', 'D']);
});

it('tells a failure to those whom the run was for, and goes on', async () => {
  const { begun, ask } = runs(createSemaphore(1));
  const failing = Promise.allSettled([ask('room', 'a'), ask('room', 'b')]);
  await turn();
  const following = ask('room', 'c');
  begun[0]!.end(new Error('no'));
  expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await turn();
  begun[1]!.end();
  expect(await following).toBe('C');
});
