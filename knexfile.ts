/** For the knex command line: node --import tsx node_modules/.bin/knex migrate:status --knexfile knexfile.ts */
import type { Knex } from 'knex';
import { readDatabaseUrl } from './src/config.ts';
import { migrationSource } from './src/platform/migrate.ts';

const config: Knex.Config = {
  client: 'pg',
  connection: () => ({ connectionString: readDatabaseUrl() }),
  migrations: { migrationSource },
  seeds: { directory: './seeds', loadExtensions: ['.ts'] },
};

export default config;
