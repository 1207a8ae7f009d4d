/** Each broken build turns the run red, by the invariant that it breaks. */
import { expect, it } from '@jest/globals';
import { BROKEN_BUILDS, makeBroken } from './broken-builds.ts';
import { startChaosCity } from './city.ts';
import { LOADS, runEpisode } from './episode.ts';
import { alone, SMOKE_FAULTS } from './plan.ts';

/** What is broken stays broken: there is nothing to wait for. */
const SETTLE_MS = 5_000;

it.each(BROKEN_BUILDS.map((build) => [build.name, build] as const))(
  'a build that %s is found out',
  async (name, build) => {
    const { dist, remove } = await makeBroken(build);
    const city = await startChaosCity({ dist });
    try {
      const faults = SMOKE_FAULTS.filter(({ id }) => id === build.fault);
      expect(faults.map(({ id }) => id)).toEqual(build.fault ? [build.fault] : []);
      const strikes = faults.flatMap((fault) => alone(fault, 'smoke'));
      const episode = { name, strikes, load: LOADS.smoke, seed: 1, settleMs: SETTLE_MS };
      const { problems } = await runEpisode(city, episode);
      expect(problems.map(({ invariant }) => invariant)).toContain(build.breaks);
    } finally {
      await city.stop();
      await remove();
    }
  },
  120_000,
);
