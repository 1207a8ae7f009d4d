/** Finds the distribution's Chromium, installing it where that is allowed. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import { programFolders } from '../../dev/services/programs.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
const isRoot = process.getuid?.() === 0;
const APT_S = 240;
/** Several suites find out at once that there is none: one of them installs it, the others wait. */
const LOCK = join(tmpdir(), 'city-chromium.lock');

/** The program that CITY_CHROMIUM names, or the first one on the path. */
function installed(): string | undefined {
  const given = process.env.CITY_CHROMIUM;
  if (given) return existsSync(given) ? given : undefined;
  return programFolders()
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
}

/** Installs the distribution's package where that is allowed; tells why it was not done. */
function install(): string | undefined {
  if (process.env.CITY_CHROMIUM) return `CITY_CHROMIUM=${process.env.CITY_CHROMIUM} does not exist`;
  if (!isRoot || process.platform !== 'linux' || spawnSync('apt-get', ['--version']).status !== 0) {
    return 'only root can install one, with apt-get';
  }
  process.stderr.write('browser tests: no Chromium found, installing the one of the distribution\n');
  const steps = 'apt-get -qq update; apt-get -qq install --yes --no-install-recommends chromium'; // older lists may do
  const { status, stderr, error } = spawnSync('flock', [LOCK, 'timeout', String(APT_S), 'sh', '-c', steps], {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  return status === 0 ? undefined : (error?.message ?? stderr.trim().split('\n').at(-1) ?? 'apt-get failed');
}

function findChromium(): { path: string } | { missing: string } {
  const path = installed();
  if (path) return { path };
  const reason = install();
  const fresh = installed();
  return fresh ? { path: fresh } : { missing: reason ?? 'the package brought none' };
}

const found = findChromium();

/** Why there is no browser; undefined when there is one. */
export const missing = 'missing' in found ? found.missing : undefined;

/** A browser without a window; whoever asks for it closes it. */
export function launchChromium(): Promise<Browser> {
  if ('missing' in found) throw new Error(`no Chromium: ${found.missing}`);
  return chromium.launch({
    executablePath: found.path,
    chromiumSandbox: !isRoot, // Chromium's sandbox refuses to run as root
    args: ['--disable-gpu', '--disable-background-networking', '--no-first-run'],
  });
}
