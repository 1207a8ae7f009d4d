/** Serves the built City page. */
import express from 'express';
import type { Express } from 'express';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The page lies in dist/web, seen from dist/src/platform (the build) or from src/platform (development). */
const PLACES = ['../../web', '../../dist/web'].map((place) => fileURLToPath(new URL(place, import.meta.url)));

/**
 * Serves the page at / and the inspector at /inspect; false when they have not been built. `/page.json` tells the page
 * whether it may sign in as anybody.
 */
export function serveWebPage(app: Express, { development }: { development: boolean }): boolean {
  const root = PLACES.find(
    (place) => existsSync(join(place, 'index.html')) && existsSync(join(place, 'assets')),
  );
  if (!root) return false;
  app.get('/page.json', (_request, response) => void response.json({ development }));
  app.use('/assets', express.static(join(root, 'assets'), { immutable: true, maxAge: '1y' }));
  app.use(express.static(root, { index: 'index.html', extensions: ['html'], cacheControl: false }));
  return true;
}
