/** Each fault once, at the size of CI. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startChaosCity } from './city.ts';
import type { ChaosCity } from './city.ts';
import { LOADS, runEpisode } from './episode.ts';
import { alone, nameOf, SMOKE_FAULTS } from './plan.ts';

let city: ChaosCity;
beforeAll(async () => {
  city = await startChaosCity();
}, 60_000);
afterAll(() => city.stop());

it.each(SMOKE_FAULTS.map((fault) => [nameOf(alone(fault, 'smoke')), fault] as const))(
  'every promise holds when %s',
  async (name, fault) => {
    const strikes = alone(fault, 'smoke');
    const { problems } = await runEpisode(city, { name, strikes, load: LOADS.smoke, seed: 1 });
    expect(problems).toEqual([]);
  },
  120_000,
);
