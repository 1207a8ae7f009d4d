/** One process of the city: reads the configuration, runs the app, stops it on a signal. */
import { createApp } from './app.ts';
import { ConfigError, readConfig } from './config.ts';
import type { Config } from './config.ts';
import { createLogger } from './platform/logger.ts';

function configOrExit(): Config {
  try {
    return readConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(error.message);
    process.exit(1);
  }
}

const config = configOrExit();
const log = createLogger(config.logLevel, { node: `${process.pid}` });
const app = createApp(config, log);

let stopping = false;
async function stop(reason: string, exitCode: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info({ reason }, 'stopping');
  await app.stop();
  log.info('stopped');
  process.exit(exitCode);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal, 0));
for (const accident of ['unhandledRejection', 'uncaughtException'] as const) {
  process.on(accident, (error: unknown) => {
    log.fatal({ err: error }, accident);
    void stop(accident, 1);
  });
}

try {
  await app.start();
} catch (error) {
  log.fatal({ err: error }, 'the city did not start');
  await stop('failed start', 1);
}
