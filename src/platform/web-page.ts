/** Serves the built City page. */
import express from 'express';
import type { Express } from 'express';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The page lies in dist/web, seen from dist/src/platform (the build) or from src/platform (development). */
const PLACES = ['../../web', '../../dist/web'].map((place) => fileURLToPath(new URL(place, import.meta.url)));

/** Serves the page at /; false when it has not been built. */
export function serveWebPage(app: Express): boolean {
  const root = PLACES.find(
    (place) => existsSync(join(place, 'index.html')) && existsSync(join(place, 'assets')),
  );
  if (!root) return false;
  app.use(
    '/assets',
    express.static(join(root, 'assets'), { immutable: true, maxAge: '1y', fallthrough: false }),
  );
  app.use(express.static(root, { index: 'index.html', cacheControl: false }));
  return true;
}
