/** Real processes of the city, started from the build. */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Compiles the server; what `npm run build` does, without the page. */
export function build(): void {
  const { status, stdout } = spawnSync('node_modules/.bin/tsc', ['-p', 'tsconfig.build.json'], { cwd: ROOT });
  if (status !== 0) throw new Error(`the build failed:\n${stdout}`);
}

export interface CityProcess {
  child: ChildProcess;
  /** What it printed so far. */
  output(): string;
  /** Resolves with the exit code. */
  exited: Promise<number | null>;
}

/** `npm start` without npm, configured by `env` alone. */
export function startProcess(env: Record<string, string>): CityProcess {
  const child = spawn(process.execPath, ['dist/src/main.js'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (output += String(piece)));
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
    20_000,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${output()}`);
  });
