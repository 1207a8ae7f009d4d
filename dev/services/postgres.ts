/** A private PostgreSQL for development and tests, from the binaries that npm installed. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import pg from 'pg';
import { asRoot, leash, type Unprivileged } from './leash.ts';
import { postgresBinaries } from './postgres-binaries.ts';
import { freePort, untilUnused, untilUp, type Log, type Service } from './programs.ts';

export interface PostgresOptions {
  dataDir: string;
  /** A free one when absent. */
  port?: number;
  /** False for throw-away data: nothing is flushed to disk. */
  durable: boolean;
  log: Log;
}

const COMMON = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: '200' };
const THROW_AWAY = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' };

/**
 * Starts PostgreSQL on 127.0.0.1 (user `postgres`, no password) with an empty database `city` if there is none yet;
 * `url` leads to that database. Ends with this process, however this process ends.
 */
export async function startPostgres(options: PostgresOptions): Promise<Service> {
  const { durable, log } = options;
  const dataDir = resolve(options.dataDir);
  const binaries = postgresBinaries(log);
  const unprivileged = asRoot(log);

  await untilUnused(join(dataDir, 'postmaster.pid'), 'postgres', log, 'DATABASE_URL');
  createCluster(dataDir, binaries.folder, unprivileged, log);
  const written = readFileSync(join(dataDir, 'PG_VERSION'), 'utf8').trim();
  if (written !== binaries.major) {
    throw new Error(
      `${dataDir} holds data of PostgreSQL ${written}, but the binaries in ${binaries.folder} are ` +
        `${binaries.major}: set CITY_POSTGRES_BIN to binaries of that version, or remove that folder to start afresh`,
    );
  }

  const port = options.port ?? (await freePort());
  const settings = Object.entries({ ...COMMON, ...(durable ? {} : THROW_AWAY) });
  const [command, args] = unprivileged.wrap(join(binaries.folder, 'postgres'), [
    ...['-D', dataDir, '-p', String(port)],
    ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]);
  const server = leash(command, args, {
    signal: durable ? 'INT' : 'QUIT',
    graceS: 30,
    ...(unprivileged.account && { account: unprivileged.account }),
  });

  const url = (database: string) => `postgres://postgres@127.0.0.1:${port}/${database}`;
  await untilUp('PostgreSQL', server, () => createDatabase(url('postgres'), 'city'));
  log(`PostgreSQL ${binaries.major} on port ${port}, data in ${dataDir}`);
  return {
    url: url('city'),
    port,
    ended: server.ended.then(({ lastLines }) => `PostgreSQL ended:\n${lastLines}`),
    stop: () => server.stop(),
  };
}

/** initdb into a neighbouring folder and then rename, so that one that was interrupted leaves nothing half done. */
function createCluster(dataDir: string, folder: string, { wrap, account }: Unprivileged, log: Log): void {
  if (!existsSync(join(dataDir, 'PG_VERSION'))) {
    log(`${dataDir} is empty: creating a PostgreSQL cluster`);
    const fresh = `${dataDir}.new-${process.pid}`;
    mkdirSync(dirname(dataDir), { recursive: true });
    mkdirSync(fresh, { mode: 0o700 });
    if (account) own(fresh, account.uid);
    const [command, args] = wrap(join(folder, 'initdb'), [
      ...['-D', fresh, '--username=postgres', '--auth=trust'],
      ...['--no-locale', '--encoding=UTF8', '--no-sync', '--no-instructions'],
    ]);
    const run = spawnSync(command, args, { encoding: 'utf8', cwd: '/', ...account });
    if (run.status === 0) {
      rmSync(dataDir, { recursive: true, force: true });
      renameSync(fresh, dataDir);
    } else {
      rmSync(fresh, { recursive: true, force: true });
      throw new Error(`initdb failed for ${dataDir}:\n${run.error?.message ?? run.stderr}`);
    }
  }
  if (process.getuid?.() === 0) own(dataDir, account?.uid ?? 0);
}

/** Gives the data folder to the account that the server will run as; an earlier run may have used another one. */
function own(dataDir: string, uid: number): void {
  if (statSync(dataDir).uid !== uid) spawnSync('chown', ['-R', String(uid), dataDir]);
}

async function createDatabase(adminUrl: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl, connectionTimeoutMillis: 2_000 });
  client.on('error', () => {}); // a connection that breaks while the server starts is tried again
  try {
    await client.connect();
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name]);
    if (!rowCount) await client.query(`create database ${name}`);
  } finally {
    await client.end();
  }
}
