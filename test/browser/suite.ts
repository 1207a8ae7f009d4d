/** Suites of browser tests: skipped out loud where there is no Chromium, each with a stage of its own. */
import { afterAll, afterEach, beforeAll, describe, expect, jest } from '@jest/globals';
import { createDatabase } from '../support/database.ts';
import { leaseRedis } from '../support/redis.ts';
import { missing } from './chromium.ts';
import { startStage } from './stage.ts';
import type { Stage } from './stage.ts';

/** For a test of several people on a machine that has other things to do; what is missing shows sooner. */
const TEST_MS = 120_000;

/** `describe` where there is a Chromium; elsewhere the suite counts as skipped, and a line says why. */
export function browserSuite(name: string, tests: () => void): void {
  if (missing === undefined) return describe(name, tests);
  process.stderr.write(
    `SKIPPED: ${name}: no Chromium (${missing}). Install the package "chromium", or set CITY_CHROMIUM.\n`,
  );
  describe.skip(name, tests);
}

/** A suite on two nodes. After each test every page is closed, and none may have said that something is wrong with it. */
export function stageSuite(
  name: string,
  env: Record<string, string>,
  tests: (stage: () => Stage) => void,
): void {
  browserSuite(name, () => {
    jest.setTimeout(TEST_MS);
    const closers: (() => Promise<unknown>)[] = [];
    let stage: Stage | undefined;
    beforeAll(async () => {
      const [database, redis] = await Promise.all([createDatabase(), leaseRedis()]);
      closers.push(
        () => database.drop(),
        () => redis.release(),
      );
      stage = await startStage({ databaseUrl: database.url, redisUrl: redis.url, env });
      closers.push(stage.close);
    });
    afterEach(async () => expect((await stage?.clear()) ?? []).toEqual([]));
    afterAll(async () => {
      for (const close of closers.reverse()) await close();
    });
    tests(() => stage!);
  });
}
