/** What the launchers of PostgreSQL and Redis share: finding programs and ports, and waiting for a server. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Leashed } from './leash.ts';

export type Log = (line: string) => void;

/** A private server that is up. */
export interface Service {
  url: string;
  port: number;
  /** Settles with a sentence when the server has ended, asked to or not. */
  ended: Promise<string>;
  /** Stops the server and waits until it is gone. */
  stop(): Promise<void>;
}

/** Where programs may lie that are not on every PATH: Homebrew on Apple silicon, on Intel and on Linux. */
export const HOMEBREW = ['/opt/homebrew', '/usr/local', '/home/linuxbrew/.linuxbrew'];

/** The folders of the PATH and of Homebrew. */
export function programFolders(): string[] {
  return [
    ...(process.env.PATH ?? '').split(delimiter).filter(Boolean),
    ...HOMEBREW.map((folder) => join(folder, 'bin')),
  ];
}

/** What `program --version` prints, or undefined when it cannot run here. */
export function versionOf(program: string, env: Record<string, string> = {}): string | undefined {
  if (!existsSync(program)) return undefined;
  const run = spawnSync(program, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } });
  return run.status === 0 ? run.stdout.trim() : undefined;
}

/** Below the ports that systems hand out for outgoing connections, so that none of those takes it before its server does. */
const PORTS = { first: 15_000, count: 15_000, each: 50 };
/**
 * A process hands out ports of its own in turn, so that nobody else is told the same before its server has taken it.
 * (Pids that are 300 apart share theirs.)
 */
const ownPorts = PORTS.first + ((process.pid * PORTS.each) % PORTS.count);
let handedOut = 0;

/** A TCP port that is free at the moment, and not told to anybody else until its server had time to take it. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS.each; tries++) {
    const port = ownPorts + (handedOut++ % PORTS.each);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free TCP port from ${ownPorts} to ${ownPorts + PORTS.each - 1}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}

/**
 * Waits until `probe` resolves, asking every 30 ms; throws with the server's last words when it ends before, or does
 * not answer within a minute (recovery after a crash takes its time).
 */
export async function untilUp(name: string, server: Leashed, probe: () => Promise<unknown>): Promise<void> {
  let lastWords: string | undefined;
  void server.ended.then(({ lastLines }) => (lastWords = lastLines));
  for (const deadline = Date.now() + 60_000; Date.now() < deadline; await sleep(30)) {
    if (lastWords !== undefined) throw new Error(`${name} ended while starting:\n${lastWords}`);
    const up = await probe().then(
      () => true,
      () => false,
    );
    if (up) return;
  }
  await server.stop();
  throw new Error(`${name} did not answer within 60 s:\n${lastWords ?? ''}`);
}

/**
 * Makes sure that no other server uses a data folder. A previous one that is just stopping (its parent was killed) is
 * given 10 s; a pid file whose process is gone, or is another program by now, is removed.
 */
export async function untilUnused(
  pidFile: string,
  program: string,
  log: Log,
  urlVariable: string,
): Promise<void> {
  const owner = () => {
    if (!existsSync(pidFile)) return undefined;
    const [pid, , , port] = readFileSync(pidFile, 'utf8').split('\n');
    return runs(Number(pid), program) ? { pid, port } : undefined;
  };
  if (owner()) log(`${program}: process ${owner()?.pid} still uses ${pidFile}: waiting for it to stop`);
  for (const deadline = Date.now() + 10_000; owner() && Date.now() < deadline;) await sleep(100);
  const holder = owner();
  if (holder) {
    throw new Error(
      `${pidFile} belongs to ${program} process ${holder.pid}${holder.port ? ` on port ${holder.port}` : ''}, ` +
        `which still runs: stop the other "npm run dev", or set ${urlVariable} to use that server`,
    );
  }
  rmSync(pidFile, { force: true });
}

/** Whether the process `pid` exists and runs `program` (a pid may have passed to something else since). */
function runs(pid: number, program: string): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  const comm = `/proc/${pid}/comm`;
  if (existsSync('/proc/self/comm')) return existsSync(comm) && readFileSync(comm, 'utf8').trim() === program;
  const ps = spawnSync('ps', ['-o', 'comm=', '-p', String(pid)], { encoding: 'utf8' });
  return ps.status === 0 && basename(ps.stdout.trim()) === program;
}
