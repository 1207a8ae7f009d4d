/** What the bench makes of its runs: the ledger's verdicts, medians, goals held and missed. */
import { describe, expect, it } from '@jest/globals';
import { createReader } from '../../bench/load/ledger.ts';
import { readMarker, writeMarker } from '../../bench/load/marker.ts';
import { createHistogram } from '../../bench/measure/histogram.ts';
import { summarise } from '../../bench/measure/medians.ts';
import { judge, summaryOf } from '../../bench/report.ts';
import type { RunRecord, TrialRecord } from '../../bench/report.ts';
import type { Goal } from '../../bench/scenario.ts';

describe('a reader', () => {
  const faults = (seen: [sender: number, n: number][], sent: number[]) => {
    const reader = createReader(sent.length);
    for (const [sender, n] of seen) reader.saw(sender, n);
    return { ...reader.faults(sent), complete: reader.isComplete(sent) };
  };
  const none = { lost: 0, duplicates: 0, disordered: 0 };

  it.each([
    [
      'everything',
      [
        [0, 1],
        [1, 1],
        [0, 2],
      ],
      [2, 1],
      { ...none, complete: true },
    ],
    [
      'one lost in the middle',
      [
        [0, 1],
        [0, 3],
      ],
      [3],
      { ...none, lost: 1, complete: false },
    ],
    [
      'the last one lost',
      [
        [0, 1],
        [0, 2],
      ],
      [3],
      { ...none, lost: 1, complete: false },
    ],
    ['all of a sender lost', [[0, 1]], [1, 2], { ...none, lost: 2, complete: false }],
    [
      'one twice',
      [
        [0, 1],
        [0, 2],
        [0, 1],
      ],
      [2],
      { ...none, duplicates: 1, complete: true },
    ],
    [
      'two swapped',
      [
        [0, 2],
        [0, 1],
      ],
      [2],
      { ...none, disordered: 1, complete: true },
    ],
    [
      'one late, and again',
      [
        [0, 2],
        [0, 1],
        [0, 1],
      ],
      [2],
      { duplicates: 1, disordered: 1, lost: 0, complete: true },
    ],
    [
      'one that nobody was told is sent',
      [
        [0, 1],
        [0, 2],
      ],
      [1],
      { ...none, duplicates: 1, complete: true },
    ],
  ] as [string, [number, number][], number[], object][])('tells of %s', (_, seen, sent, expected) => {
    expect(faults(seen, sent)).toEqual(expected);
  });

  it('tells of numbers with a gap or out of turn', () => {
    const reader = createReader(0);
    for (const seq of [5, 6, 8, 7]) reader.sawNumber(seq);
    expect(reader.faults([]).disordered).toBe(2);
  });
});

it('finds every marker in a frame', () => {
  const message = (n: number) => `{"seq":1,"body":"${writeMarker(3, n, 1234567890)}..."}`;
  const frame = Buffer.from(`43/rooms,7[{"messages":[${message(1)},{"body":"not ours"},${message(22)}]}]`);
  const first = readMarker(frame, 0)!;
  const second = readMarker(frame, first.end)!;
  expect(first).toMatchObject({ sender: 3, n: 1, sentUs: 1234567890 });
  expect(second).toMatchObject({ sender: 3, n: 22 });
  expect(readMarker(frame, second.end)).toBeUndefined();
});

describe('a histogram', () => {
  it('gives quantiles within a hundredth, of several processes too', () => {
    const [one, other] = [createHistogram(), createHistogram()];
    for (let us = 1; us <= 1_000; us++) one.record(us);
    for (let us = 1_001; us <= 2_000; us++) other.record(us);
    one.add(other.counts());
    expect(one.count()).toBe(2_000);
    for (const [q, us] of [
      [0.5, 1_000],
      [0.99, 1_980],
    ] as const) {
      expect(Math.abs(one.quantile(q) / us - 1)).toBeLessThan(0.01);
    }
  });

  it('has no quantile of nothing', () => expect(createHistogram().quantile(0.5)).toBeNaN());
});

it('takes medians of odd and even numbers of runs', () => {
  expect(summarise([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3, count: 3 });
  expect(summarise([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4, count: 4 });
});

describe('a goal', () => {
  const run = (server: RunRecord['server'], rate: number, problems: string[] = []): RunRecord => ({
    server,
    run: 1,
    loadAverage: 0,
    figures: { rate },
    problems,
  });
  const trial = (goals: Goal[], runs: RunRecord[]): TrialRecord => ({
    trial: { name: 't', about: '', figures: { rate: '1/s' }, goals },
    runs,
  });
  const runs = [run('bare', 100), run('bare', 110), run('bare', 90), run('city', 120), run('city', 125)];

  it('is a ratio of medians', () => {
    const goals = [
      { figure: 'rate', over: 'bare' as const, atLeast: 1.2 },
      { figure: 'rate', atMost: 120 },
    ];
    expect(judge(trial(goals, runs)).map(({ value, held }) => [value, held])).toEqual([
      [1.225, true],
      [122.5, false],
    ]);
  });

  it('counts no run that is void', () => {
    const voided = trial([], [...runs, run('city', 9_999, ['deliveries lost: 1'])]);
    expect(summaryOf(voided, 'city', 'rate')).toMatchObject({ max: 125, count: 2 });
  });

  it('is missed when there is nothing to judge it by', () => {
    const goals = [
      { figure: 'rate', over: 'tutorial' as const, atLeast: 0 },
      { figure: 'absent', atLeast: 0 },
    ];
    expect(judge(trial(goals, runs)).map(({ value, held }) => [value, held])).toEqual([
      [undefined, false],
      [undefined, false],
    ]);
  });
});
