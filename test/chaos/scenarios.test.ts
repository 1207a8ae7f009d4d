/** Each scenario once, at the size of CI. */
import { expect, it } from '@jest/globals';
import { SCENARIOS } from './scenarios.ts';

it.each(SCENARIOS.map((scenario) => [scenario.name, scenario.promise, scenario] as const))(
  '%s: %s',
  async (_name, _promise, scenario) => {
    const { problems } = await scenario.run({ size: 'smoke', log: () => {} });
    expect(problems).toEqual([]);
  },
  180_000,
);
