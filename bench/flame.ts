/**
 * A flame graph of a V8 CPU profile: `npx tsx bench/flame.ts FILE.cpuprofile [seconds from the start] > graph.svg`.
 * Width is time on the main thread, idle left out; callers are above what they call.
 */
import { readFileSync } from 'node:fs';

interface Profile {
  startTime: number;
  nodes: { id: number; callFrame: { functionName: string; url: string }; children?: number[] }[];
  samples: number[];
  /** Microseconds. */
  timeDeltas: number[];
}

interface Frame {
  name: string;
  group: string;
  micros: number;
  callees: Map<string, Frame>;
}

const WIDTH = 1_400;
const ROW = 17;
/** Narrower frames are left out, pixels. */
const LEAST = 1.5;
const COLOURS: Record<string, string> = { city: '#e8743b', node: '#9db4c0', native: '#c9c9c9' };
const LIBRARY = '#7fb7be';

const [file, from = '0'] = process.argv.slice(2);
if (!file) throw new Error('usage: flame.ts FILE.cpuprofile [seconds from the start]');
const profile = JSON.parse(readFileSync(file, 'utf8')) as Profile;

/** Where a frame's code is from, and its name with the file or the package. */
function describe({ functionName, url }: Profile['nodes'][number]['callFrame']): {
  name: string;
  group: string;
} {
  const called = functionName || '(anonymous)';
  const ours = /dist\/(?:src\/)?(.+)$/.exec(url)?.[1];
  const library = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  if (library) return { name: `${called} · ${library}`, group: library };
  if (ours) return { name: `${called} · ${ours}`, group: 'city' };
  if (url.startsWith('node:')) return { name: `${called} · ${url}`, group: 'node' };
  return { name: called, group: 'native' };
}

const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
const callers = new Map(
  profile.nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])),
);
const frame = (name: string, group: string): Frame => ({ name, group, micros: 0, callees: new Map() });
const root = frame('main thread', 'native');

let at = 0;
profile.samples.forEach((id, sample) => {
  const micros = profile.timeDeltas[sample]!;
  at += micros;
  if (at < Number(from) * 1e6 || nodes.get(id)!.callFrame.functionName === '(idle)') return;
  const stack = [];
  for (let each: number | undefined = id; each !== undefined; each = callers.get(each)) stack.push(each);
  root.micros += micros;
  let above = root;
  for (const each of stack.reverse().slice(1)) {
    const { name, group } = describe(nodes.get(each)!.callFrame);
    if (!above.callees.has(name)) above.callees.set(name, frame(name, group));
    above = above.callees.get(name)!;
    above.micros += micros;
  }
});

const escape = (text: string) => text.replace(/[<>&"]/g, (character) => `&#${character.charCodeAt(0)};`);
const boxes: string[] = [];
let deepest = 0;

function draw({ name, group, micros, callees }: Frame, x: number, depth: number): void {
  const width = (micros / root.micros) * WIDTH;
  if (width < LEAST) return;
  deepest = Math.max(deepest, depth);
  const share = `${((micros / root.micros) * 100).toFixed(1)} %`;
  const shown = name.slice(0, Math.max(0, Math.floor((width - 6) / 6)));
  const place = `x="${x.toFixed(1)}" y="${depth * ROW}" width="${width.toFixed(1)}" height="${ROW - 1}"`;
  boxes.push(
    `<g><title>${escape(name)}, ${share}</title><rect ${place} fill="${COLOURS[group] ?? LIBRARY}"/>` +
      (shown.length > 2
        ? `<text x="${(x + 3).toFixed(1)}" y="${depth * ROW + 12}">${escape(shown)}</text>`
        : '') +
      '</g>',
  );
  let next = x;
  for (const callee of [...callees.values()].sort((one, other) => other.micros - one.micros)) {
    draw(callee, next, depth + 1);
    next += (callee.micros / root.micros) * WIDTH;
  }
}

draw(root, 0, 0);
const height = (deepest + 1) * ROW;
console.log(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="10">` +
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>${boxes.join('\n')}</svg>`,
);
