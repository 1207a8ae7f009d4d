/** Unpacks programs from the archive of the distribution (Debian, Ubuntu) without being root. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Whether there is an archive to take packages from. */
export const canUnpack = (): boolean =>
  process.platform === 'linux' && spawnSync('apt-get', ['--version']).status === 0;

/**
 * Unpacks package `name`, and whatever it needs that is not installed, into `folder`, with package lists, cache and
 * locks of our own: neither root nor existing lists are needed, nothing is installed. Returns the reason when it fails.
 * Several processes may be at it: each unpacks in a folder of its own and renames it, unless `isDone` says that another
 * has just put a good one there.
 */
export function unpackPackage(name: string, folder: string, isDone: () => boolean): string | undefined {
  mkdirSync(dirname(folder), { recursive: true });
  const work = mkdtempSync(`${folder}.new-`);
  const [lists, cache, root] = ['lists', 'cache', 'root'].map((part) => join(work, part)) as [
    string,
    string,
    string,
  ];
  for (const empty of [join(lists, 'partial'), join(cache, 'archives/partial'), root]) {
    mkdirSync(empty, { recursive: true });
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
    const download = apt('install', '--download-only', '--yes', '--no-install-recommends', name);
    if (download) return [update, download].filter(Boolean).join('; ');
    for (const file of readdirSync(join(cache, 'archives')).filter((one) => one.endsWith('.deb'))) {
      const failure = run('dpkg-deb', ['-x', join(cache, 'archives', file), root]);
      if (failure) return failure;
    }
    if (!isDone()) moveTo(folder, root);
    return undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function moveTo(folder: string, root: string): void {
  rmSync(folder, { recursive: true, force: true });
  try {
    renameSync(root, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
}

/** Runs a command to its end; returns its last words when it fails. */
function run(command: string, args: string[]): string | undefined {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr.trim().split('\n').at(-1));
}
