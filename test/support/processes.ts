/** Real processes of the city, started from the build. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Compiles the server and the page: what `npm run build` does. */
export function build(): void {
  for (const [command, ...args] of [
    ['tsc', '-p', 'tsconfig.build.json'],
    ['vite', 'build'],
  ] as const) {
    const { status, stdout, stderr } = spawnSync(`node_modules/.bin/${command}`, args, { cwd: ROOT });
    if (status !== 0) throw new Error(`the build failed:\n${String(stdout)}${String(stderr)}`);
  }
}

export interface CityProcess {
  child: ChildProcess;
  /** What it printed so far. */
  output(): string;
  /** Resolves with the exit code. */
  exited: Promise<number | null>;
}

export interface ProcessOptions {
  /** A module that is loaded before the city's own code. */
  preload?: string;
  /** Accidents are what the test is about: they do not turn it red. */
  accidents?: 'expected';
}

/** Left here for environment.ts, which turns the test red that is running. */
function noteAccident(line: string): void {
  const KEY = Symbol.for('city.test.accidents');
  const shared = globalThis as { [KEY]?: string[] };
  (shared[KEY] ??= []).push(`a process of the city: ${line}`);
}

/** `npm start` without npm, configured by `env` alone. */
export function startProcess(
  env: Record<string, string>,
  { preload, accidents }: ProcessOptions = {},
): CityProcess {
  const imports = preload === undefined ? [] : ['--import', preload];
  const child = spawn(process.execPath, [...imports, 'dist/src/main.js'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece) => (output += String(piece)));
    if (accidents === 'expected') continue;
    createInterface({ input: stream }).on('line', (line) => {
      if (/unhandledRejection|uncaughtException/.test(line)) noteAccident(line);
    });
  }
  return { child, output: () => output, exited: once(child, 'exit').then(([code]) => code as number | null) };
}

/** Resolves when the node at `url` takes traffic. */
export const untilReady = (url: string, { output }: CityProcess) =>
  until(
    () =>
      fetch(`${url}/health/ready`).then(
        ({ ok }) => ok,
        () => false,
      ),
    `${url} ready`,
    60_000, // a second, where the machine is its own
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${output()}`);
  });
