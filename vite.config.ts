/** Builds the City page and the inspector into dist/web, which the server serves at `/` and `/inspect`; `npx vite` proxies the API to CITY_URL. */
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const city = process.env['CITY_URL'] ?? 'http://127.0.0.1:7001';
const proxy = {
  '/city': city,
  '/secondme': city,
  '/auth': city,
  '/inspect/': city,
  '/page.json': city,
  '/socket.io': { target: city, ws: true },
};

// A build is for production whoever starts it; under NODE_ENV=test it would hold React for development, twice the size.
if (process.argv.includes('build')) process.env['NODE_ENV'] = 'production';

export default defineConfig({
  root: 'web',
  plugins: [react()],
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    rolldownOptions: { input: ['web/index.html', 'web/inspect.html'] },
  },
  server: { proxy },
  preview: { proxy },
});
