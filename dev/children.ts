/** The Node processes that `npm run dev` starts. */
import { setTimeout as sleep } from 'node:timers/promises';
import { leash, type Leashed } from './services/leash.ts';

export type Environment = Record<string, string>;

/** Runs `node ...args` to its end; returns its last lines when it fails. */
export async function runToEnd(
  root: string,
  args: string[],
  env: Environment = {},
): Promise<string | undefined> {
  const { code, lastLines } = await leash(process.execPath, args, {
    signal: 'TERM',
    graceS: 2,
    cwd: root,
    env,
  }).ended;
  return code === 0 ? undefined : lastLines;
}

export interface CityNode {
  name: string;
  port: number;
  process: Leashed;
}

export interface NodeOptions {
  root: string;
  name: string;
  port: number;
  env: Environment;
  /** Seconds until a node that does not stop is killed. */
  graceS: number;
  onLine: (line: string) => void;
}

/** Starts one city node; it listens a little later. */
export function startNode({ root, name, port, env, graceS, onLine }: NodeOptions): CityNode {
  const args = ['--import', 'tsx', 'src/main.ts'];
  const options = { signal: 'TERM', graceS, cwd: root, env: { ...env, PORT: String(port) }, onLine } as const;
  return { name, port, process: leash(process.execPath, args, options) };
}

/** Waits until a node is ready for traffic; throws when it ends before. */
export async function untilReady({ name, port, process }: CityNode): Promise<void> {
  let ended = false;
  void process.ended.then(() => (ended = true));
  while (!(await isReady(port))) {
    if (ended) throw new Error(`${name} ended while starting`);
    await sleep(100);
  }
}

async function isReady(port: number): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(2_000);
    const response = await fetch(`http://127.0.0.1:${port}/health/ready`, { signal });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // not listening yet
  }
}
