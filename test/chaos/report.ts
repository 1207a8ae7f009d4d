/** The report of a run: a table of faults × invariants, latencies and recoveries, scenarios, the first offenders. */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { EpisodeResult, Quantiles } from './episode.ts';
import { INVARIANTS } from './invariants.ts';
import type { Invariant } from './invariants.ts';
import type { Scenario, ScenarioResult } from './scenario.ts';

const FOLDER = fileURLToPath(new URL('../../docs/chaos', import.meta.url));
const NAMES = Object.keys(INVARIANTS) as Invariant[];
const OFFENDERS_SHOWN = 5;

export interface ScenarioOutcome extends ScenarioResult {
  scenario: Scenario;
}

export interface Run {
  /** The command that was given. */
  command: string;
  seeds: number[];
  began: Date;
  episodes: EpisodeResult[];
  scenarios: ScenarioOutcome[];
  /** Further tables, ready-made. */
  more?: string;
}

const ms = (value: number) =>
  value >= 1_000 ? `${(value / 1_000).toFixed(1)} s` : `${Math.round(value)} ms`;
const three = ({ p50, p99, max }: Quantiles) => `${ms(p50)} / ${ms(p99)} / ${ms(max)}`;
const row = (cells: (string | number)[]) => `| ${cells.join(' | ')} |`;
const table = (head: string[], lines: (string | number)[][]) =>
  [row(head), row(head.map(() => '---')), ...lines.map(row)].join('\n');

/** Whether nothing broke. */
export const held = ({ episodes, scenarios }: Run): boolean =>
  [...episodes, ...scenarios].every(({ problems }) => problems.length === 0);

/** The report as Markdown. */
export function render(run: Run): string {
  const { command, seeds, began, episodes, scenarios } = run;
  const minutes = Math.round((Date.now() - began.getTime()) / 6_000) / 10;
  const machine = `${availableParallelism()} cores (${cpus()[0]?.model ?? 'unknown'}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
  const parts = [
    `# ${held(run) ? 'Everything held' : 'Something broke'}: \`${command}\``,
    `${began.toISOString()}, ${minutes} min, seed ${seeds.join(', ')}; ${machine}. Clients, proxies, nodes and services share this machine.`,
  ];
  if (episodes.length > 0) {
    parts.push(
      '## Faults × invariants',
      table(
        ['episode', ...NAMES],
        episodes.map(({ name, problems }) => [
          name,
          ...NAMES.map((invariant) =>
            problems.some((problem) => problem.invariant === invariant) ? '**broken**' : '✓',
          ),
        ]),
      ),
      NAMES.map((invariant) => `${invariant}: ${INVARIANTS[invariant]}  `).join('\n'),
      '## What it took',
      'Latencies are p50 / p99 / max, from the moment a message was to be sent: to its acknowledgement, and to those who had its room open.',
      table(
        [
          'episode',
          'sent',
          'delivered',
          'ack, calm',
          'ack, in trouble',
          'delivery, calm',
          'delivery, in trouble',
          'back after the heal',
        ],
        episodes.map(({ name, sends, deliveries, ack, delivery, recoveryMs }) => [
          name,
          sends,
          deliveries,
          three(ack.calm),
          three(ack.fault),
          three(delivery.calm),
          three(delivery.fault),
          recoveryMs === null ? 'never' : ms(recoveryMs),
        ]),
      ),
    );
  }
  if (scenarios.length > 0) {
    parts.push(
      '## Scenarios',
      table(
        ['scenario', 'promise', 'held', 'figures'],
        scenarios.map(({ scenario, problems, figures }) => [
          scenario.name,
          scenario.promise,
          problems.length === 0 ? '✓' : '**broken**',
          Object.entries(figures)
            .map(([name, value]) => `${name}: ${value}`)
            .join('<br>'),
        ]),
      ),
    );
  }
  if (run.more) parts.push(run.more);
  const offenders = [
    ...episodes.flatMap(({ name, problems }) =>
      problems.slice(0, OFFENDERS_SHOWN).map(({ invariant, what }) => `- ${name}, ${invariant}: ${what}`),
    ),
    ...scenarios.flatMap(({ scenario, problems }) =>
      problems.slice(0, OFFENDERS_SHOWN).map((problem) => `- ${scenario.name}: ${problem}`),
    ),
  ];
  if (offenders.length > 0) parts.push('## The first offenders', offenders.join('\n'));
  return `${parts.join('\n\n')}\n`;
}

/** Writes the report to docs/chaos/`name`.md; the path. */
export async function writeReport(name: string, run: Run): Promise<string> {
  await mkdir(FOLDER, { recursive: true });
  const path = `${FOLDER}/${name}.md`;
  await writeFile(path, render(run));
  return path;
}
