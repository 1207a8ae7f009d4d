/** The snippets of docs/getting-started.md, run as they are written there (but for the address of the city). */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

const ROOT = join(import.meta.dirname, '../..');
const [plain, typed, ...others] = [
  ...readFileSync(join(ROOT, 'docs/getting-started.md'), 'utf8').matchAll(/^```js\n(.*?)^```$/gms),
].map(([, code]) => code!);

let city: City;
beforeAll(async () => {
  city = await startCity();
});
afterAll(() => city.stop());

/** What the snippet prints until it has printed something that fits `last`. */
async function run(code: string, last: RegExp): Promise<string> {
  const child = spawn(process.execPath, ['--input-type=module'], { cwd: ROOT });
  child.stdin.end(code.replaceAll('http://localhost:7001', city.url()));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (output += String(piece)));
  try {
    await until(() => last.test(output), String(last)).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${output}`);
    });
    return output;
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

it('are two', () => expect([typeof plain, typeof typed, others]).toEqual(['string', 'string', []]));

it('plain socket.io-client', async () => {
  // The acknowledgement and the delivery come in either order.
  const output = await run(plain!, /stored as message[^]*Alice: |Alice: [^]*stored as message/);
  expect(output).toMatch(/in General, 1 here/);
  expect(output).toMatch(/^(\d+) Alice: Привіт, місто!$/m);
});

it('the typed client', async () => {
  const output = await run(typed!, /live \d+ Bohdan: І від мене привіт! 0 on the way/);
  expect(output).toMatch(/1 on the way/);
});
