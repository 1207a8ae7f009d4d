/** Child processes that never outlive us: each one ends when our end of its stdin closes, SIGKILL of us included. */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface LeashOptions {
  /** How the program is asked to stop, e.g. `TERM`. */
  signal: 'TERM' | 'INT' | 'QUIT';
  /** Seconds until a program that does not stop is killed. */
  graceS: number;
  /** Added to our own environment. */
  env?: Record<string, string>;
  cwd?: string;
  /** The account to run as; ours when absent. */
  account?: Account;
  /** Called with every line that the program prints. */
  onLine?: (line: string) => void;
}

export interface Leashed {
  /** Settles when the program has ended, with its exit code and the last lines it printed. */
  ended: Promise<{ code: number | null; lastLines: string }>;
  /** Asks the program to stop and waits until it is gone. */
  stop(): Promise<void>;
}

/**
 * A shell between us and the program: a watcher in the background reads our end of stdin, and at its end signals the
 * program, then kills it if it is still there after the grace; the shell itself waits for the program.
 */
const SHELL = `
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
{
  read -r _ <&3
  kill -$LEASH_SIGNAL $program
  left=$LEASH_GRACE
  while [ $left -gt 0 ] && kill -0 $program; do sleep 1; left=$((left - 1)); done
  kill -KILL $program
} >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $program
code=$?
kill $watcher 2>/dev/null
exit $code`;

const KEPT_LINES = 20;

/** Starts `command` on a leash, in a session of its own so that a terminal's Ctrl-C reaches only us. */
export function leash(command: string, args: string[], options: LeashOptions): Leashed {
  const child = spawn('sh', ['-c', SHELL, 'sh', command, ...args], {
    cwd: options.cwd ?? '/',
    env: {
      ...process.env,
      ...options.env,
      LEASH_SIGNAL: options.signal,
      LEASH_GRACE: String(options.graceS),
    },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
    ...options.account,
  });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      options.onLine?.(line);
    });
  }
  child.stdin.on('error', () => {}); // the program may be gone before us

  const ended = new Promise<{ code: number | null; lastLines: string }>((resolve) => {
    const settle = (code: number | null) => {
      child.stdin.destroy();
      resolve({ code, lastLines: lines.join('\n') });
    };
    child.once('error', (error) => {
      lines.push(error.message);
      settle(null);
    });
    child.once('close', settle);
  });
  return {
    ended,
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}

export interface Account {
  uid: number;
  gid: number;
}

/** How to run a program that refuses root: the command with its arguments, and the account if one must be taken. */
export interface Unprivileged {
  wrap(command: string, args: string[]): [string, string[]];
  account?: Account;
}

/**
 * PostgreSQL refuses to run as root. Inside an unmapped user namespace the process is not root and still owns root's
 * files; where namespaces are forbidden (many containers) it runs as `postgres` or `nobody`.
 */
export function asRoot(log: (line: string) => void): Unprivileged {
  const plain: Unprivileged = { wrap: (command, args) => [command, args] };
  if (process.getuid?.() !== 0) return plain;
  if (spawnSync('unshare', ['--user', 'true']).status === 0) {
    return { wrap: (command, args) => ['unshare', ['--user', command, ...args]] };
  }
  for (const name of ['postgres', 'nobody']) {
    const entry = new RegExp(`^${name}:[^:]*:(\\d+):(\\d+):`, 'm').exec(readFileSync('/etc/passwd', 'utf8'));
    if (!entry) continue;
    log(`PostgreSQL refuses root and "unshare --user" is not allowed here: it runs as the account ${name}`);
    return { ...plain, account: { uid: Number(entry[1]), gid: Number(entry[2]) } };
  }
  throw new Error('PostgreSQL refuses to run as root: start this as an ordinary user, or set DATABASE_URL');
}
