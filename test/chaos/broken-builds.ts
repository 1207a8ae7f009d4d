/** Negative controls: builds of the city that break one promise each, made by patching a copy of the real build. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Invariant } from './invariants.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Patch {
  /** Below dist/. */
  file: string;
  /** Stands there exactly once. */
  find: string;
  replace: string;
}

export interface BrokenBuild {
  name: string;
  patches: Patch[];
  /** The fault that brings it to light; none when the everyday does. */
  fault?: string;
  /** The invariant that must be reported as broken. */
  breaks: Invariant;
}

export const BROKEN_BUILDS: BrokenBuild[] = [
  {
    name: 'acknowledges before the commit',
    fault: 'F5',
    breaks: 'I1',
    patches: [
      {
        file: 'src/room-log/writer.js',
        find: 'const results = await store(creations, changes);',
        replace:
          'const trx = await db.transaction();' +
          'const results = (await appendBatch(trx, creations, changes)).sort((a, b) => a.ord - b.ord);',
      },
      {
        file: 'src/room-log/writer.js',
        find: 'const messages = changed.map(',
        replace: 'await sleep(300); await trx.commit().catch(() => {}); const messages = changed.map(',
      },
    ],
  },
  {
    name: 'skips the duplicate check',
    fault: 'F2',
    breaks: 'I2',
    patches: [
      {
        file: 'src/room-log/log.repo.js',
        find: '({ ord: index, ...creation })',
        replace: '({ ord: index, ...creation, client_id: null })',
      },
    ],
  },
  {
    name: 'drops announcements',
    breaks: 'I11',
    patches: [
      {
        file: 'src/room-log/sequencer.js',
        find: 'rooms.serverSideEmit(NEWS, ',
        replace: 'void (NEWS, ',
      },
    ],
  },
  {
    name: 'skips the head poll',
    fault: 'F3',
    breaks: 'I5',
    patches: [
      {
        file: 'src/room-log/sequencer.js',
        find: 'of await readHeads(db, [...cursors.keys()])',
        replace: 'of []',
      },
    ],
  },
  {
    name: 'reaps without regard to the node lease',
    breaks: 'I10',
    patches: [
      {
        file: 'src/presence/presence.lua.js',
        find: "redis.call('ZRANGEBYSCORE', 'city:nodes', '-inf', whole(now), 'LIMIT', 0, 10)",
        replace: "redis.call('ZRANGEBYSCORE', 'city:nodes', '-inf', '+inf', 'LIMIT', 0, 10)",
      },
    ],
  },
  {
    name: 'skips the fence',
    fault: 'F2',
    breaks: 'I10',
    patches: [
      {
        file: 'migrations/0009_second_me.js',
        find: 'where i.id = given and i.attempt = fence;',
        replace: 'where i.id = given;',
      },
      {
        file: 'src/second-me/leases.js',
        find: 'held.get(claim)?.onLost()',
        replace: 'void 0',
      },
    ],
  },
];

/** A patched copy of dist/ in a folder of its own. */
export async function makeBroken({
  name,
  patches,
}: BrokenBuild): Promise<{ dist: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'city-broken-'));
  const dist = join(folder, 'dist');
  await cp(join(ROOT, 'dist'), dist, { recursive: true });
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const { file, find, replace } of patches) {
    const path = join(dist, file);
    const pieces = (await readFile(path, 'utf8')).split(find);
    if (pieces.length !== 2)
      throw new Error(`"${name}" finds its place in ${file} ${pieces.length - 1} times`);
    await writeFile(path, pieces.join(replace));
  }
  return { dist, remove: () => rm(folder, { recursive: true, force: true }) };
}
