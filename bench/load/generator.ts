/** The load generator: processes of their own that run a load module and are called from the bench. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { cpuOf } from '../measure/cpu.ts';
import type { Order, Report } from './process.ts';

/** What a load module makes: functions of one JSON value that resolve with one. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- each load names the argument of each function
export type Load = Record<string, (argument: any) => Promise<any>>;

export interface Generator<L extends Load> {
  call<Name extends keyof L & string>(
    name: Name,
    ...argument: Parameters<L[Name]>
  ): Promise<Awaited<ReturnType<L[Name]>>>;
  /** Seconds of CPU used so far: near a core's worth, the generator is what was measured. */
  cpu(): number;
  stop(): Promise<void>;
}

const PROCESS = fileURLToPath(new URL('process.ts', import.meta.url));

/**
 * Starts a process with the load of `module` (a URL; it exports `create(options)`).
 * A call that throws in there rejects here.
 */
export async function startGenerator<L extends Load>(module: URL, options: unknown): Promise<Generator<L>> {
  const child = fork(PROCESS, [], { execArgv: ['--import', 'tsx'], serialization: 'advanced' });
  const waiting = new Map<number, { resolve: (result: never) => void; reject: (error: Error) => void }>();
  let asked = 0;
  let ended = false;
  const exit = once(child, 'exit').then(([code, signal]) => {
    ended = true;
    for (const { reject } of waiting.values())
      reject(new Error(`the load generator ended with ${String(code ?? signal)}`));
  });
  child.on('message', ({ id, result, error }: Report) => {
    const { resolve, reject } = waiting.get(id)!;
    waiting.delete(id);
    if (error === undefined) resolve(result as never);
    else reject(new Error(error));
  });
  const give = (id: number, order: Order) =>
    new Promise<never>((resolve, reject) => {
      if (ended) return reject(new Error('the load generator has ended'));
      waiting.set(id, { resolve, reject });
      child.send(order);
    });

  await give(0, { module: module.href, options });
  return {
    call: (name, argument) => {
      const id = ++asked;
      return give(id, { id, name, argument });
    },
    cpu: () => cpuOf(child.pid!),
    async stop() {
      if (!ended) child.kill('SIGKILL');
      await exit;
    },
  };
}
