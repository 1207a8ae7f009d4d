/** Builds the City page when its sources are newer than the last build. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { runToEnd } from './children.ts';
import type { Log } from './services/programs.ts';

/** Leaves `dist/web` of the repository `root` up to date; a failing build is a warning, the city runs without it. */
export async function buildPage(root: string, log: Log): Promise<void> {
  const sources = join(root, 'web');
  if (!existsSync(sources)) return log('City page: there is no web folder, so no page at /');
  const built = join(root, 'dist/web/index.html');
  const newest = Math.max(
    ...readdirSync(sources, { recursive: true, encoding: 'utf8' }).map(
      (name) => statSync(join(sources, name)).mtimeMs,
    ),
  );
  if (existsSync(built) && statSync(built).mtimeMs >= newest) return log('City page: up to date');

  log(`City page: ${existsSync(built) ? 'its sources have changed' : 'not built yet'}, building it`);
  const failure = await runToEnd(root, [join(root, 'node_modules/vite/bin/vite.js'), 'build']);
  if (failure !== undefined) log(`WARNING: the City page was not built, going on without it:\n${failure}`);
}
