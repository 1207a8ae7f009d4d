/** The descriptions of the contract, and a page to read and try them. */
import express from 'express';
import type { Express } from 'express';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { asyncapi } from '../contract/asyncapi.ts';
import { openapi } from '../contract/openapi.ts';
import { REST } from '../contract/rest.ts';
import { AppError } from './errors.ts';
import { parse } from './http.ts';
import type { Route } from './http.ts';

const PAGE_SCRIPT = `window.ui = SwaggerUIBundle({
  url: '/openapi.json', dom_id: '#swagger-ui', deepLinking: true, persistAuthorization: false,
});`;

export function docRoutes(route: Route, production: boolean): void {
  const { devToken: _, ...calls } = REST;
  const [rest, events] = [openapi(production ? calls : REST), asyncapi()];
  route('openapi', () => ({ body: rest }));
  route('asyncapi', () => ({ body: events }));
}

/** Serves Swagger UI from its package at /docs, with nothing from outside. */
export function serveDocs(app: Express): void {
  const assets = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'));
  // At /docs itself, without a redirect to /docs/: what the page loads is named from the root.
  const page = readFileSync(join(assets, 'index.html'), 'utf8').replace(
    /(href|src)="(?:\.\/)?/g,
    '$1="/docs/',
  );
  app
    .route('/docs')
    .get((request, response) => {
      parse(REST.openapi.query, { ...request.query }, 'query');
      response.type('html').send(page);
    })
    .all(() => {
      throw new AppError('method_not_allowed', 'This path takes GET.', { allow: ['GET'] });
    });
  app.get('/docs/swagger-initializer.js', (_request, response) => {
    response.type('text/javascript').send(PAGE_SCRIPT);
  });
  app.use('/docs', express.static(assets, { index: false }));
}
