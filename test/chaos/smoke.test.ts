/** Each fault and each scenario once, at the size of CI; one file, so that nothing else runs beside it. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startChaosCity } from './city.ts';
import type { ChaosCity } from './city.ts';
import { LOADS, runEpisode } from './episode.ts';
import { alone, nameOf, SMOKE_FAULTS } from './plan.ts';
import { SCENARIOS } from './scenarios.ts';

/** What strikes in a scenario below or in test/cluster/dead-links.test.ts; `npm run chaos -- --smoke` has them too. */
const ELSEWHERE = ['F3-wiped', 'F4-to', 'F4-from', 'F7', 'F11'];
const FAULTS = SMOKE_FAULTS.filter(({ id }) => !ELSEWHERE.includes(id));

describe('every promise holds when', () => {
  let city: ChaosCity;
  beforeAll(async () => {
    city = await startChaosCity();
  }, 60_000);
  afterAll(() => city.stop());

  it.each(FAULTS.map((fault) => [nameOf(alone(fault, 'smoke')), fault] as const))(
    '%s',
    async (name, fault) => {
      const strikes = alone(fault, 'smoke');
      const { problems } = await runEpisode(city, { name, strikes, load: LOADS.smoke, seed: 1 });
      expect(problems).toEqual([]);
    },
    120_000,
  );
});

it.each(SCENARIOS.map((scenario) => [scenario.name, scenario.promise, scenario] as const))(
  '%s: %s',
  async (_name, _promise, scenario) => {
    const { problems } = await scenario.run({ size: 'smoke', log: () => {} });
    expect(problems).toEqual([]);
  },
  180_000,
);
