/** The process of a server: started, waited for, asked for its memory, stopped; it never outlives the bench. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { until } from '../test/support/until.ts';
import type { Memory } from './servers/preload.ts';

const READY_MS = 30_000;
const STOP_MS = 10_000;
/** Levels of the city's log, and what a process of Node says when something is wrong with it. */
const ACCIDENT = /"level":"(error|fatal)"|unhandledRejection|uncaughtException|\bat .*:\d+:\d+/;

/** A node or a worker. */
export interface Process {
  name: string;
  /** Where its clients find it; '' for a worker. */
  url: string;
  /** Metrics of a process of the city; '' for the others. */
  opsUrl: string;
  pid: number;
  /** Everything it printed. */
  output(): string;
  /** What it holds after a garbage collection; only if started with `--expose-gc`. */
  memory(): Promise<Memory>;
}

export interface Member extends Process {
  ready(): Promise<void>;
  end(): Promise<void>;
}

interface LaunchSettings extends Pick<Process, 'name' | 'url' | 'opsUrl'> {
  args: string[];
  env: Record<string, string>;
  accidents: string[];
}

export function launch({ name, url, opsUrl, args, env, accidents }: LaunchSettings): Member {
  const child: ChildProcess = spawn(process.execPath, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let meant = false;
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (piece: Buffer) => {
      output += String(piece);
      if (ACCIDENT.test(String(piece))) accidents.push(`${name}: ${String(piece).trim().slice(0, 400)}`);
    });
  }
  const exit = once(child, 'exit').then(([code, signal]) => {
    if (!meant) accidents.push(`${name} ended by itself with ${String(code ?? signal)}`);
  });
  const running = () => child.exitCode === null && child.signalCode === null;
  return {
    name,
    url,
    opsUrl,
    pid: child.pid!,
    output: () => output,
    async memory() {
      const answer = once(child, 'message');
      child.send({ memory: true });
      return (await answer)[0] as Memory;
    },
    async ready() {
      const healthy = () =>
        fetch(`${url || opsUrl}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        );
      const up = until(async () => !running() || (await healthy()), `${name} ready`, READY_MS);
      await up.catch((error: unknown) => {
        throw new Error(`${String(error)}\n${output.slice(-4_000)}`);
      });
      if (!running()) throw new Error(`${name} ended while starting:\n${output.slice(-4_000)}`);
    },
    async end() {
      meant = true;
      if (running()) child.kill('SIGTERM');
      const killer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await exit;
      clearTimeout(killer);
    },
  };
}
