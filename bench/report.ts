/** The results: one JSON file a scenario, and the page that is made of all of them. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Machine } from './machine.ts';
import { summarise } from './measure/medians.ts';
import type { Summary } from './measure/medians.ts';
import { SCENARIOS } from './scenarios.ts';
import type { Goal, RunResult, Scenario, ServerName, Trial } from './scenario.ts';

const DOCS = fileURLToPath(new URL('../docs', import.meta.url));
const BEGIN = '<!-- bench: what stands from here to the end mark is written by npm run bench -->';
const END = '<!-- bench: end -->';

export interface RunRecord extends RunResult {
  server: ServerName;
  run: number;
  /** Of the minute before the run. */
  loadAverage: number;
}

export interface TrialRecord {
  trial: Pick<Trial, 'name' | 'about' | 'figures' | 'goals'>;
  runs: RunRecord[];
}

/** Everything about one scenario of one bench; what its file holds. */
export interface ScenarioRecord {
  scenario: Pick<Scenario, 'name' | 'about'>;
  command: string;
  began: string;
  machine: Machine;
  trials: TrialRecord[];
  /** Why the scenario has no more trials than these. */
  aborted?: string;
}

export interface Verdict {
  goal: Goal;
  /** The ratio, or the figure itself; undefined when there is nothing to tell it from. */
  value: number | undefined;
  held: boolean;
}

/** Median and spread of one figure of one server, of the runs that count; undefined without any. */
export function summaryOf({ runs }: TrialRecord, server: ServerName, figure: string): Summary | undefined {
  const values = runs
    .filter((run) => run.server === server && run.problems.length === 0)
    .map(({ figures }) => figures[figure])
    .filter((value) => value !== undefined);
  return values.length > 0 ? summarise(values) : undefined;
}

export function judge(record: TrialRecord): Verdict[] {
  return record.trial.goals.map((goal) => {
    const { figure, over, atLeast = -Infinity, atMost = Infinity } = goal;
    const ours = summaryOf(record, 'city', figure)?.median;
    const theirs = over === undefined ? 1 : summaryOf(record, over, figure)?.median;
    const value = ours === undefined || theirs === undefined ? undefined : ours / theirs;
    return { goal, value, held: value !== undefined && value >= atLeast && value <= atMost };
  });
}

/** Whether every goal was held and nothing was aborted. A goal whose servers were not all run is missed. */
export const held = (record: ScenarioRecord): boolean =>
  !record.aborted && record.trials.every((trial) => judge(trial).every((verdict) => verdict.held));

/** A cell has one line. */
const cell = (value: string | number) => String(value).split('\n')[0]!.replaceAll('|', '\\|').slice(0, 200);
const row = (cells: (string | number)[]) => `| ${cells.map(cell).join(' | ')} |`;
const table = (head: string[], lines: (string | number)[][]) =>
  [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');

/** Four significant digits, thousands apart. */
export function format(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const rounded = Number(value.toPrecision(4));
  return Math.abs(rounded) >= 1e15
    ? String(rounded)
    : rounded.toLocaleString('en-GB', { maximumFractionDigits: 6 });
}

const spread = ({ median, min, max }: Summary) =>
  min === max ? format(median) : `${format(median)} (${format(min)}–${format(max)})`;

const bounds = ({ atLeast, atMost }: Goal) =>
  [atLeast === undefined ? '' : `≥ ${atLeast}`, atMost === undefined ? '' : `≤ ${atMost}`]
    .filter(Boolean)
    .join(', ');

/** One trial: figures by server, then goals. */
function renderTrial(record: TrialRecord): string {
  const { trial, runs } = record;
  const servers = [...new Set(runs.map(({ server }) => server))];
  const verdicts = judge(record);
  const lines = Object.entries(trial.figures)
    .map(([figure, unit]) => ({
      figure,
      unit,
      of: servers.map((server) => summaryOf(record, server, figure)),
    }))
    .filter(({ of }) => of.some(Boolean))
    .map(({ figure, unit, of }) => [
      unit ? `${figure}, ${unit}` : figure,
      ...of.map((summary) => (summary ? spread(summary) : '–')),
    ]);
  const counted = servers.map((server) => {
    const own = runs.filter((run) => run.server === server);
    const valid = own.filter(({ problems }) => problems.length === 0);
    return `${valid.length} of ${own.length}`;
  });
  const parts = [
    `### ${trial.name}`,
    trial.about,
    table(['', ...servers], [...lines, ['runs that count', ...counted]]),
  ];
  if (verdicts.length > 0) {
    parts.push(
      table(
        ['goal', 'bound', 'measured', ''],
        verdicts.map(({ goal, value, held }) => [
          goal.over ? `${goal.figure}, city ÷ ${goal.over}` : goal.figure,
          bounds(goal),
          value === undefined ? 'not measured' : format(value),
          held ? 'held' : '**MISSED**',
        ]),
      ),
    );
  }
  const voids = runs.filter(({ problems }) => problems.length > 0);
  const remarks = [
    ...voids.map(
      ({ server, run, problems }) => `- void: ${server}, run ${run}: ${problems.slice(0, 3).join('; ')}`,
    ),
    ...[...new Set(runs.flatMap(({ server, notes = [] }) => notes.map((note) => `- ${server}: ${note}`)))],
  ];
  if (remarks.length > 0) parts.push(remarks.join('\n'));
  return parts.join('\n\n');
}

/** One scenario as Markdown. */
export function render(record: ScenarioRecord): string {
  const { scenario, command, began, machine, trials, aborted } = record;
  const loads = trials.flatMap(({ runs }) => runs.map(({ loadAverage }) => loadAverage));
  const settings = Object.entries(machine.postgresSettings).map(([name, value]) => `${name} ${value}`);
  return [
    `## ${scenario.name}: ${scenario.about}`,
    [
      `\`${command}\`, ${began}, commit ${machine.commit}.`,
      `${machine.cores} cores (${machine.model}), ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node ${machine.node},`,
      `PostgreSQL ${machine.postgres} (${settings.join(', ')}), Redis ${machine.redis}.`,
      loads.length > 0 ? `Load average before the runs: ${Math.min(...loads)}–${Math.max(...loads)}.` : '',
    ]
      .filter(Boolean)
      .join(' '),
    ...(aborted ? ['**ABORTED** at', `\`\`\`\n${aborted.slice(0, 2_000)}\n\`\`\``] : []),
    ...trials.map(renderTrial),
  ].join('\n\n');
}

/**
 * Writes docs/`name`/<scenario>.json, and in docs/`name`.md the part between the marks, out of all the files there are;
 * the path of the page.
 */
export async function writeReport(name: string, record: ScenarioRecord): Promise<string> {
  const folder = `${DOCS}/${name}`;
  const page = `${DOCS}/${name}.md`;
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}/${record.scenario.name}.json`, `${JSON.stringify(record, null, 2)}\n`);
  const files = (await readdir(folder)).filter((file) => file.endsWith('.json'));
  const records = await Promise.all(
    files.map(async (file) => JSON.parse(await readFile(`${folder}/${file}`, 'utf8')) as ScenarioRecord),
  );
  const place = ({ scenario }: ScenarioRecord) => SCENARIOS.findIndex(({ name }) => name === scenario.name);
  records.sort((a, b) => place(a) - place(b));
  const before = existsSync(page) ? await readFile(page, 'utf8') : `# Performance\n\n${BEGIN}\n${END}\n`;
  const [head, rest] = before.split(BEGIN);
  const tail = rest?.split(END)[1];
  if (tail === undefined) throw new Error(`${page} has no marks that say where the figures belong`);
  const part = [summaryTable(records), ...records.map(render)].join('\n\n');
  await writeFile(page, `${head}${BEGIN}\n\n${part}\n\n${END}${tail}`);
  return page;
}

/** Every goal on one line. */
function summaryTable(records: ScenarioRecord[]): string {
  const lines = records.flatMap(({ scenario, trials, aborted }) => [
    ...trials.flatMap((trial) =>
      judge(trial).map(({ goal, value, held }) => [
        `${scenario.name}, ${trial.trial.name}`,
        goal.over ? `${goal.figure}, city ÷ ${goal.over}` : goal.figure,
        bounds(goal),
        value === undefined ? 'not measured' : format(value),
        held ? 'held' : '**MISSED**',
      ]),
    ),
    ...(aborted ? [[scenario.name, aborted, '', '', '**ABORTED**']] : []),
  ]);
  return table(['scenario', 'figure', 'goal', 'measured', ''], lines);
}
