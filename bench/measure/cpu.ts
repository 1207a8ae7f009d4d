/** CPU time of processes, from /proc: user and system, of one process or of a PostgreSQL with all its backends. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks in a second; /proc counts in them, so that a reading is exact to 10 ms. */
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

interface Times {
  parent: number;
  /** Seconds of its own. */
  own: number;
  /** Seconds of its children that have ended. */
  ended: number;
}

/** Undefined when the process is gone. */
function timesOf(pid: number | string): Times | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The name stands in brackets and may hold anything; what follows it is numbered from 3 in proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (n: number) => Number(fields[n - 3]);
  return { parent: field(4), own: (field(14) + field(15)) / TICKS, ended: (field(16) + field(17)) / TICKS };
}

/** Seconds of CPU that the process has used; throws when it is gone. */
export function cpuOf(pid: number): number {
  const times = timesOf(pid);
  if (!times) throw new Error(`process ${pid} is gone`);
  return times.own;
}

/** Seconds of CPU of a process and all its children, those that have ended included: a postmaster and its backends. */
export function cpuOfFamily(pid: number): number {
  const head = timesOf(pid);
  if (!head) throw new Error(`process ${pid} is gone`);
  let total = head.own + head.ended;
  for (const name of readdirSync('/proc')) {
    if (!/^\d/.test(name)) continue;
    const times = timesOf(name);
    if (times?.parent === pid) total += times.own + times.ended;
  }
  return total;
}
