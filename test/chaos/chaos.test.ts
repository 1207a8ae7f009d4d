/** The smoke of `npm run chaos`: each fault once, each scenario small, and each broken build seen for what it is. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BROKEN_BUILDS, makeBroken } from './broken-builds.ts';
import { startChaosCity } from './city.ts';
import type { ChaosCity } from './city.ts';
import { LOADS, runEpisode } from './episode.ts';
import { alone, nameOf, SMOKE_FAULTS } from './plan.ts';
import { SCENARIOS } from './scenarios.ts';

const MINUTE = 60_000;

describe('under each fault every promise holds', () => {
  let city: ChaosCity;
  beforeAll(async () => {
    city = await startChaosCity();
  }, MINUTE);
  afterAll(() => city.stop());

  it.each(SMOKE_FAULTS.map((fault) => [nameOf(alone(fault, 'smoke')), fault] as const))(
    '%s',
    async (name, fault) => {
      const strikes = alone(fault, 'smoke');
      const { problems } = await runEpisode(city, { name, strikes, load: LOADS.smoke, seed: 1 });
      expect(problems).toEqual([]);
    },
    2 * MINUTE,
  );
});

describe('a scenario', () => {
  it.each(SCENARIOS.map((scenario) => [scenario.promise, scenario] as const))(
    '%s',
    async (_promise, scenario) => {
      const { problems } = await scenario.run({ size: 'smoke', log: () => {} });
      expect(problems).toEqual([]);
    },
    3 * MINUTE,
  );
});

describe('the run turns red for a build that', () => {
  it.each(BROKEN_BUILDS.map((build) => [build.name, build] as const))(
    '%s',
    async (name, build) => {
      const { dist, remove } = await makeBroken(build);
      const city = await startChaosCity({ dist });
      try {
        const strikes = SMOKE_FAULTS.filter(({ id }) => id === build.fault).flatMap((fault) =>
          alone(fault, 'smoke'),
        );
        expect(strikes.map(({ fault }) => fault.id)).toEqual(build.fault ? [build.fault] : []);
        const { problems } = await runEpisode(city, {
          name,
          strikes,
          load: LOADS.smoke,
          seed: 1,
          settleMs: 5_000,
        });
        expect(problems.map(({ invariant }) => invariant)).toContain(build.breaks);
      } finally {
        await city.stop();
        await remove();
      }
    },
    2 * MINUTE,
  );
});
