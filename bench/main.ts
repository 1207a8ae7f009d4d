/** `npm run bench`: the city beside two other servers under the same loads, interleaved; exits with 1 if a goal is missed. */
import { parseArgs } from 'node:util';
import { describeMachine, loadAverage } from './machine.ts';
import { held, render, writeReport } from './report.ts';
import type { ScenarioRecord, TrialRecord } from './report.ts';
import type { Scenario, ServerName, Trial } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';
import { startServices } from './services.ts';
import type { Services } from './services.ts';

const USAGE = `npm run bench [-- options]
  (none)             every scenario, five runs each; written to docs/performance
  --only A,B         only these scenarios, or trials of them as scenario/trial
  --servers A,B      only these of bare, tutorial, city
  --runs N           another number of runs
  --smoke            everything tiny and once: tries the bench, measures nothing
  --report NAME      where the results go: docs/NAME.md and docs/NAME/; a whole run has performance anyway
  --dist DIR         the city's build, a folder with src/main.js; dist otherwise (or BENCH_DIST)
  --node-args=ARGS   for the processes of the servers, e.g. --node-args="--cpu-prof --cpu-prof-dir=/tmp/prof"`;

const NAMES: ServerName[] = ['bare', 'tutorial', 'city'];
const RUNS = 5;

const { values: given } = parseArgs({
  options: {
    only: { type: 'string' },
    servers: { type: 'string' },
    runs: { type: 'string' },
    smoke: { type: 'boolean', default: false },
    report: { type: 'string' },
    dist: { type: 'string' },
    'node-args': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (given.help) {
  console.log(USAGE);
  process.exit(0);
}

const log = (line: string) => console.log(line);
const servers = (given.servers?.split(',') ?? NAMES) as ServerName[];
const only = given.only?.split(',');
const size = given.smoke ? 'smoke' : 'full';
const runs = Number(given.runs ?? (given.smoke ? 1 : RUNS));
const chosen = SCENARIOS.map((scenario) => ({
  ...scenario,
  trials: scenario.trials.filter(
    ({ name }) => !only || only.includes(scenario.name) || only.includes(`${scenario.name}/${name}`),
  ),
})).filter(({ trials }) => trials.length > 0);
for (const server of servers) if (!NAMES.includes(server)) throw new Error(`no server ${server}`);
if (chosen.length === 0) throw new Error(`no scenario ${given.only}`);

const figuresLine = (trial: Trial, figures: Record<string, number>) =>
  Object.entries(trial.figures)
    .filter(([name]) => name in figures)
    .map(([name, unit]) => `${name} ${Number(figures[name]!.toPrecision(4))}${unit && ` ${unit}`}`)
    .join(', ');

/** Every server in turn, again and again, so that what the machine does besides meets them all alike. */
async function runTrial(
  services: Services,
  scenario: Scenario,
  trial: Trial,
  record: TrialRecord,
): Promise<void> {
  const compared = trial.servers.filter((server) => servers.includes(server));
  for (let run = 1; run <= Math.min(runs, trial.runs ?? runs); run++) {
    for (const server of compared) {
      const load = loadAverage();
      const result = await trial.run({ server, size, services, log: (line) => log(`    ${line}`) });
      record.runs.push({ server, run, loadAverage: load, ...result });
      const [problem] = result.problems;
      log(
        `  ${scenario.name}/${trial.name} ${run} ${server}: ${problem ? `VOID (${problem}) ` : ''}${figuresLine(trial, result.figures)}`,
      );
    }
  }
}

async function runScenario(services: Services, scenario: Scenario): Promise<ScenarioRecord> {
  const record: ScenarioRecord = {
    scenario,
    command: ['npm run bench', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(
      ' ',
    ),
    began: new Date().toISOString(),
    machine: await describeMachine(services.databaseUrl, services.redisUrl),
    trials: [],
  };
  log(`${scenario.name}: ${scenario.about}`);
  for (const trial of scenario.trials) {
    const runs: TrialRecord = { trial, runs: [] };
    record.trials.push(runs); // what was measured until an abort stays
    try {
      await runTrial(services, scenario, trial, runs);
    } catch (error) {
      record.aborted = `${trial.name}: ${error instanceof Error ? error.message : String(error)}`;
      log(`  ABORTED ${scenario.name}/${record.aborted}`);
      break;
    }
  }
  return record;
}

const services = await startServices({
  dist: given.dist ?? process.env.BENCH_DIST,
  durable: !given.smoke,
  nodeArgs: given['node-args']?.split(' ') ?? [],
});
const records: ScenarioRecord[] = [];
const whole = !given.smoke && !given.only && !given.servers && runs >= RUNS;
const report = given.report ?? (whole ? 'performance' : undefined);
try {
  for (const scenario of chosen) {
    const record = await runScenario(services, scenario);
    records.push(record);
    log(`\n${render(record)}`);
    // After each, so that a bench that is interrupted leaves what it has measured.
    if (report) log(`report: ${await writeReport(report, record)}`);
  }
} finally {
  await services.stop();
}
process.exit(records.every(held) ? 0 : 1);
