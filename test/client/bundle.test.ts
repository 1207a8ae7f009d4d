/** What the client adds to a page: built as a page's bundler would, weighed, and searched for what must not be in it. */
import { expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';

const LIMIT_BYTES = 15_000;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Run by Node itself: the bundler is native. */
const BUILD = `
  import { build } from 'vite';
  const built = await build({
    configFile: false,
    logLevel: 'silent',
    build: {
      write: false,
      lib: { entry: { client: 'src/client/index.ts', react: 'src/client/react.ts' }, formats: ['es'] },
      rolldownOptions: { external: ['socket.io-client', 'react'], output: { minify: true } },
    },
  });
  const chunks = built[0].output.map(({ fileName, code, imports }) => ({ fileName, code, imports }));
  process.stdout.write(JSON.stringify(chunks));
`;

interface Chunk {
  fileName: string;
  code: string;
  imports: string[];
}

it(`is less than ${LIMIT_BYTES} bytes gzipped, and has no server and no zod in it`, async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', BUILD], {
    cwd: ROOT,
    maxBuffer: 8 * 1024 * 1024,
  });
  const chunks = JSON.parse(stdout) as Chunk[];
  const sizes = chunks.map(({ fileName, code }) => ({
    fileName,
    bytes: Buffer.byteLength(code),
    gzipped: gzipSync(code).length,
  }));
  for (const { fileName, bytes, gzipped } of sizes) {
    process.stdout.write(`bundle size: ${fileName} ${bytes} bytes, ${gzipped} gzipped\n`);
  }
  expect(sizes.map(({ fileName }) => fileName).sort()).toEqual(['client.js', 'react.js']);
  expect(sizes.reduce((sum, { gzipped }) => sum + gzipped, 0)).toBeLessThan(LIMIT_BYTES);
  expect(new Set(chunks.flatMap(({ imports }) => imports))).toEqual(new Set(['socket.io-client', 'react']));
  for (const { code } of chunks) expect(code).not.toMatch(/ZodType|safeParse|process\.env/);
});
