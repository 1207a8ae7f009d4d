/** Finds a Redis server: named by the environment, installed, or unpacked from Debian packages without being root. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { programFolders, versionOf, type Log } from './programs.ts';

export interface RedisBinary {
  path: string;
  /** The name that the process shows. */
  name: string;
  /** What it needs in its environment to find its libraries. */
  env: Record<string, string>;
}

/** Unpacked once per checkout, whatever the data folder. */
const UNPACKED = resolve(import.meta.dirname, '../../.data/redis-bin');

/** The first Redis of version 6.2 or newer, or Valkey, that runs here; throws with what to install when none does. */
export function redisBinary(log: Log): RedisBinary {
  const given = process.env.CITY_REDIS_BIN;
  if (given) {
    const path = resolve(given);
    if (!isUsable(path)) throw new Error(`CITY_REDIS_BIN=${given} is no Redis 6.2 or newer that runs here`);
    log(`Redis: ${path}, since CITY_REDIS_BIN names it`);
    return { path, name: basename(path), env: {} };
  }

  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of programFolders()) {
      const path = join(folder, name);
      if (!existsSync(path)) continue;
      if (isUsable(path)) {
        log(`Redis: ${path}, since it is installed`);
        return { path, name, env: {} };
      }
      log(`Redis: ${path} does not run or is older than 6.2`);
    }
  }

  const kept = unpacked();
  if (isUsable(kept.path, kept.env)) {
    log(`Redis: ${kept.path}, unpacked from Debian packages earlier`);
    return kept;
  }
  let reason = 'there is no apt-get to take it from';
  if (process.platform === 'linux' && spawnSync('apt-get', ['--version']).status === 0) {
    log(`Redis: none installed; unpacking the Debian packages into ${UNPACKED}`);
    reason = unpack() ?? 'the unpacked one does not run';
    const fresh = unpacked();
    if (isUsable(fresh.path, fresh.env)) return fresh;
  }
  throw new Error(
    `No Redis found (${reason}). ${HOW_TO_INSTALL[process.platform] ?? HOW_TO_INSTALL.linux}, ` +
      'or set CITY_REDIS_BIN to a redis-server or valkey-server, or REDIS_URL to a server',
  );
}

const HOW_TO_INSTALL: Partial<Record<NodeJS.Platform, string>> & { linux: string } = {
  linux:
    'Run "sudo apt-get install redis-server" (Fedora: "sudo dnf install valkey", Alpine: "apk add redis")',
  darwin: 'Run "brew install redis"',
  win32: 'Run this inside WSL2 ("wsl --install")',
};

function isUsable(path: string, env: Record<string, string> = {}): boolean {
  const version = /v=(\d+)\.(\d+)/.exec(versionOf(path, env) ?? '');
  return version !== null && Number(version[1]) * 100 + Number(version[2]) >= 602;
}

function unpacked(): RedisBinary {
  const libraries = ['usr/lib', 'lib'].flatMap((folder) =>
    [...directories(join(UNPACKED, folder)), '.'].map((name) => join(UNPACKED, folder, name)),
  );
  return {
    path: join(UNPACKED, 'usr/bin/redis-server'),
    name: 'redis-server',
    env: { LD_LIBRARY_PATH: libraries.filter((folder) => existsSync(folder)).join(':') },
  };
}

/**
 * Takes redis-server and whatever it needs that is not installed from the distribution's archive, with package lists,
 * cache and locks of our own: neither root nor existing lists are needed, nothing is installed. Returns the reason
 * when it fails. Several processes may be at it: each unpacks in a folder of its own and renames it.
 */
function unpack(): string | undefined {
  mkdirSync(dirname(UNPACKED), { recursive: true });
  const work = mkdtempSync(`${UNPACKED}.new-`);
  const [lists, cache, root] = ['lists', 'cache', 'root'].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [join(lists, 'partial'), join(cache, 'archives/partial'), root]) {
    mkdirSync(folder, { recursive: true });
  }
  const settings = [
    `Dir::State::lists=${lists}`,
    `Dir::Cache=${cache}`,
    'Debug::NoLocking=1',
    'Acquire::Languages=none',
    'Acquire::http::Timeout=20',
    ...(process.getuid?.() === 0 ? ['APT::Sandbox::User=root'] : []),
  ];
  const apt = (...args: string[]) => run('apt-get', ['-qq', ...settings.flatMap((s) => ['-o', s]), ...args]);
  try {
    const update = apt('update'); // one unreachable source of many is no reason to give up
    const download = apt('install', '--download-only', '--yes', '--no-install-recommends', 'redis-server');
    if (download) return [update, download].filter(Boolean).join('; ');
    for (const name of readdirSync(join(cache, 'archives')).filter((file) => file.endsWith('.deb'))) {
      const failure = run('dpkg-deb', ['-x', join(cache, 'archives', name), root]);
      if (failure) return failure;
    }
    moveInto(root);
    return undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Puts the fresh copy in its place, unless another process has just put a good one there. */
function moveInto(root: string): void {
  const there = unpacked();
  if (isUsable(there.path, there.env)) return;
  rmSync(UNPACKED, { recursive: true, force: true });
  try {
    renameSync(root, UNPACKED);
  } catch (error) {
    if (!existsSync(UNPACKED)) throw error;
  }
}

/** Runs a command to its end; returns its last words when it fails. */
function run(command: string, args: string[]): string | undefined {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr.trim().split('\n').at(-1));
}

function directories(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}
