/**
 * `npm run capacity [-- NAME]`: writes the simulated part of docs/capacity.md out of the figures that the
 * bench has left in docs/NAME/ (performance when absent).
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { renderCapacity } from './capacity/page.ts';
import { readFigures, unitsOf } from './capacity/units.ts';
import type { ScenarioRecord } from './report.ts';

const DOCS = fileURLToPath(new URL('../docs', import.meta.url));
const BEGIN = '<!-- capacity: what stands from here to the end mark is written by bench/capacity.ts -->';
const END = '<!-- capacity: end -->';

const name = process.argv[2] ?? 'performance';
const files = (await readdir(`${DOCS}/${name}`)).filter((file) => file.endsWith('.json'));
const records = await Promise.all(
  files.map(async (file) => JSON.parse(await readFile(`${DOCS}/${name}/${file}`, 'utf8')) as ScenarioRecord),
);
const readings = readFigures(records);
const used = records.filter(({ scenario }) =>
  Object.values(readings).some((reading) => reading.scenario === scenario.name),
);
const commits = [...new Set(used.map(({ machine }) => machine.commit))].join(', ');
const loads = used.flatMap(({ trials }) =>
  trials.flatMap(({ runs }) => runs.map(({ loadAverage }) => loadAverage)),
);
const [first] = used;
const basis =
  `docs/${name}/*.json (${first!.began.slice(0, 10)}, commit ${commits}, ${first!.machine.cores} cores of ` +
  `${first!.machine.model}, load average before the runs ${Math.min(...loads)}–${Math.max(...loads)})`;

const path = `${DOCS}/capacity.md`;
const page = await readFile(path, 'utf8');
const [head, rest] = page.split(BEGIN);
const tail = rest?.split(END)[1];
if (tail === undefined) throw new Error(`${path} has no marks that say where the figures belong`);
await writeFile(
  path,
  `${head}${BEGIN}\n\n${renderCapacity(readings, unitsOf(readings), basis)}\n\n${END}${tail}`,
);
console.log(path);
