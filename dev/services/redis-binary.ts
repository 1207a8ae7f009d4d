/** Finds a Redis server: named by the environment, installed, or unpacked from Debian packages without being root. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { canUnpack, unpackPackage } from './debian-package.ts';
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
  if (canUnpack()) {
    log(`Redis: none installed; unpacking the Debian packages into ${UNPACKED}`);
    const isDone = () => isUsable(unpacked().path, unpacked().env);
    reason = unpackPackage('redis-server', UNPACKED, isDone) ?? 'the unpacked one does not run';
    if (isDone()) return unpacked();
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

function directories(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}
