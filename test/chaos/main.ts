/**
 * `npm run chaos`: strikes a city of real processes with every fault, alone and overlapping, and reports what held.
 * Exits with 1 when anything broke.
 */
import { parseArgs } from 'node:util';
import { build } from '../support/processes.ts';
import { startChaosCity } from './city.ts';
import { LOADS, runEpisode } from './episode.ts';
import type { EpisodeResult } from './episode.ts';
import { FAULTS } from './faults.ts';
import { alone, nameOf, overlapping, SMOKE_FAULTS } from './plan.ts';
import { createRandom } from './random.ts';
import { held, render, writeReport } from './report.ts';
import type { Run, ScenarioOutcome } from './report.ts';
import type { Size } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';
import { soak } from './soak.ts';

const USAGE = `npm run chaos [-- options]
  (none)            every fault once, and every scenario, at full size; about 25 minutes
  --smoke           the same at the size of CI; about 8 minutes
  --full            overlapping random faults: three seeds, 15 minutes each
  --soak            an hour of clients that come and go, with the heap measured
  --only A,B        only these faults and scenarios, by id or name
  --seed N          the seed; random when absent
  --minutes N       another length for --full (of each seed) and --soak
  --report NAME     where the report goes, docs/chaos/NAME.md; a run at full size has one anyway`;

const { values: given } = parseArgs({
  options: {
    smoke: { type: 'boolean', default: false },
    full: { type: 'boolean', default: false },
    soak: { type: 'boolean', default: false },
    only: { type: 'string' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
    report: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (given.help) {
  console.log(USAGE);
  process.exit(0);
}

const seed = Number(given.seed ?? Math.floor(Math.random() * 1e9));
const log = (line: string) => console.log(line);
const run: Run = {
  command: ['npm run chaos', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
  seeds: [seed],
  began: new Date(),
  episodes: [],
  scenarios: [],
};

function tell(result: EpisodeResult): void {
  run.episodes.push(result);
  const [first] = result.problems;
  log(`${first ? 'BROKEN' : 'held  '} ${result.name}${first ? `: ${first.invariant} ${first.what}` : ''}`);
}

/** Every chosen fault alone, then every chosen scenario. */
async function each(size: Size): Promise<void> {
  const only = given.only?.split(',');
  const faults = only
    ? FAULTS.filter(({ id }) => only.includes(id))
    : size === 'smoke'
      ? SMOKE_FAULTS
      : FAULTS;
  const scenarios = only ? SCENARIOS.filter(({ name }) => only.includes(name)) : SCENARIOS;
  if (faults.length > 0) {
    const city = await startChaosCity();
    try {
      for (const fault of faults) {
        const strikes = alone(fault, size);
        tell(await runEpisode(city, { name: nameOf(strikes), strikes, load: LOADS[size], seed }));
      }
    } finally {
      await city.stop();
    }
  }
  for (const scenario of scenarios) {
    const outcome: ScenarioOutcome = {
      scenario,
      ...(await scenario.run({ size, log: (line) => log(`  ${line}`) })),
    };
    run.scenarios.push(outcome);
    const [first] = outcome.problems;
    log(`${first ? 'BROKEN' : 'held  '} ${scenario.name}${first ? `: ${first}` : ''}`);
  }
}

/** Overlapping random faults, episode after episode, on one city for each seed. */
async function overlaps(minutes: number): Promise<void> {
  run.seeds = [seed, seed + 1, seed + 2];
  for (const own of run.seeds) {
    const random = createRandom(own);
    const city = await startChaosCity();
    try {
      for (const end = performance.now() + minutes * 60_000; performance.now() < end;) {
        const strikes = overlapping(random);
        const name = `seed ${own}: ${nameOf(strikes)}`;
        tell(await runEpisode(city, { name, strikes, load: LOADS.full, seed: Math.floor(random() * 1e9) }));
      }
    } finally {
      await city.stop();
    }
  }
}

async function soakFor(minutes: number): Promise<void> {
  const { slopes, visits, problems } = await soak(minutes, seed, log);
  const figures = Object.fromEntries(
    slopes.map(({ node, bytesPerTenMinutes, first, last, samples }) => [
      node,
      `${Math.round(bytesPerTenMinutes / 1e3)} KB in ten minutes (heap ${(first.heapBytes / 1e6).toFixed(1)} → ${(last.heapBytes / 1e6).toFixed(1)} MB, ${samples} samples)`,
    ]),
  );
  const scenario = {
    name: 'soak',
    promise: 'the heap does not grow',
    run: () => Promise.reject(new Error()),
  };
  run.scenarios.push({ scenario, figures: { visits, ...figures }, problems });
}

build();
log(`seed ${seed}`);
if (given.soak) await soakFor(Number(given.minutes ?? 60));
else if (given.full) await overlaps(Number(given.minutes ?? 15));
else await each(given.smoke ? 'smoke' : 'full');

const whole = !given.smoke && !given.only && !given.minutes;
const name = given.report ?? (!whole ? undefined : given.soak ? 'soak' : given.full ? 'overlaps' : 'faults');
log(render(run));
if (name) log(`report: ${await writeReport(name, run)}`);
process.exit(held(run) ? 0 : 1);
