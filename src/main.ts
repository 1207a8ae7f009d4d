/** One process of the city: reads the configuration, runs the app, stops it on a signal or after an accident. */
import { createApp } from './app.ts';
import { ConfigError, readConfig } from './config.ts';
import type { Config } from './config.ts';
import { createLogger } from './platform/logger.ts';

/** Past the configured grace a stop that hangs is given up: an accident may have broken what it waits for. */
const OVERTIME_MS = 2_000;

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

// A log that nobody reads any more is no reason to stop serving.
process.stdout.on('error', () => {});

let stopping = false;
/** Never falls back to 0: an accident during a clean stop is still one. */
let exitCode = 0;

async function stop(reason: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  log.info({ reason }, 'stopping');
  setTimeout(() => {
    log.fatal({ reason }, 'the stop hangs and is given up');
    process.exit(1);
  }, config.shutdownGraceMs + OVERTIME_MS).unref();
  try {
    await app.stop();
    log.info('stopped');
  } catch (error) {
    log.fatal({ err: error }, 'the stop failed');
    exitCode = 1;
  }
  process.exit(exitCode);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void stop(signal));
for (const accident of ['unhandledRejection', 'uncaughtException'] as const) {
  process.on(accident, (error: unknown) => {
    log.fatal({ err: error }, accident);
    exitCode = 1;
    void stop(accident);
  });
}

try {
  await app.start();
} catch (error) {
  if (error instanceof ConfigError) console.error(error.message);
  else log.fatal({ err: error }, 'the city did not start');
  exitCode = 1;
  await stop('failed start');
}
