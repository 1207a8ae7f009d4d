/**
 * Node's test environment, in which no accident goes unseen: one in a process that a test started (processes.ts) turns
 * that test red, and so does a rejection that nobody handles in this process. The latter is jest's own work until the
 * last hook of a file is through; of what comes later a worker of jest would only print it.
 */
import { TestEnvironment } from 'jest-environment-node';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

/** How long what a file left running may take to show itself. */
const AFTERMATH_MS = 50;
const ACCIDENTS = Symbol.for('city.test.accidents');

export default class extends TestEnvironment {
  /** What processes.ts noted since it was asked last. */
  #accidents(): string[] {
    return (this.global as { [ACCIDENTS]?: string[] })[ACCIDENTS]?.splice(0) ?? [];
  }

  handleTestEvent(event: { name: string; test?: { errors: unknown[] } }): void {
    if (event.name === 'test_done') event.test?.errors.push(...this.#accidents());
  }

  override async teardown(): Promise<void> {
    const strays: string[] = [];
    const note = (error: unknown) => strays.push(String(error));
    process.on('unhandledRejection', note).on('uncaughtException', note);
    await sleep(AFTERMATH_MS);
    process.off('unhandledRejection', note).off('uncaughtException', note);
    strays.push(...this.#accidents());
    await super.teardown();
    if (strays.length > 0) throw new Error(`after the tests: ${strays.join('; ')}`);
  }
}
