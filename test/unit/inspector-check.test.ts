/** The inspector's proof of a log: what it calls whole, and that nothing lost or repeated passes it. */
import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { checkFrom, isWhole, reach, receive } from '../../web/src/inspect/check.ts';
import type { Check, How, Numbered } from '../../web/src/inspect/check.ts';

const start = checkFrom({ last_seq: 3, last_change_seq: 7 });
const all = (check: Check, changes: [seq: number, change_seq: number][], how: How = 'live') =>
  changes.reduce((now, [seq, change_seq]) => receive(now, { seq, change_seq }, how), check);

it('is whole at the start and as long as each number follows the one before', () => {
  const check = all(start, [
    [4, 8],
    [5, 9],
    [2, 10],
  ]);
  expect(isWhole(check)).toBe(true);
  expect(check).toMatchObject({ seq: 5, change: 10, live: 3, replaced: 0 });
});

it('takes a replay in which later changes replaced earlier ones', () => {
  // 4 was created (8), 5 was created (9), 4 was edited (10): a replay has each in its latest state.
  const check = all(
    start,
    [
      [5, 9],
      [4, 10],
    ],
    'replayed',
  );
  expect(reach(check, { last_seq: 5, last_change_seq: 10 })).toMatchObject({
    replayed: 2,
    replaced: 1,
    missing: [],
    short: 0,
  });
});

it('finds a message that never came, in the middle and at the end', () => {
  const check = all(start, [
    [4, 8],
    [6, 10],
  ]);
  expect(check.missing).toEqual([5]);
  expect(isWhole(check)).toBe(false);
  expect(reach(start, { last_seq: 4, last_change_seq: 8 })).toMatchObject({ missing: [4], short: 1 });
});

it('finds a change that came twice', () => {
  const check = all(start, [
    [4, 8],
    [4, 8],
  ]);
  expect(check.repeated).toBe(1);
  expect(isWhole(check)).toBe(false);
});

/** A log of changes: the seq that each touches. An edit names one of the messages so far. */
const logs = fc.array(fc.nat(9), { minLength: 1, maxLength: 40 }).map((choices) => {
  let last = 0;
  return choices.map((choice, i): Numbered => {
    const seq = choice < 5 || last === 0 ? ++last : (choice % last) + 1;
    return { seq, change_seq: i + 1 };
  });
});
const latest = (log: Numbered[]) =>
  log.filter((change, i) => !log.slice(i + 1).some(({ seq }) => seq === change.seq));
const head = (log: Numbered[]) => ({
  last_seq: Math.max(...log.map(({ seq }) => seq)),
  last_change_seq: log.length,
});
const nowhere = checkFrom({ last_seq: 0, last_change_seq: 0 });

it('finds every log whole, and none from which a replay lost a message', () => {
  fc.assert(
    fc.property(logs, fc.nat(), (log, which) => {
      const replay = latest(log);
      const whole = replay.reduce((check, change) => receive(check, change, 'replayed'), nowhere);
      expect(isWhole(reach(whole, head(log)))).toBe(true);
      const lossy = replay.toSpliced(which % replay.length, 1);
      const broken = lossy.reduce((check, change) => receive(check, change, 'replayed'), nowhere);
      expect(isWhole(reach(broken, head(log)))).toBe(false);
    }),
  );
});
