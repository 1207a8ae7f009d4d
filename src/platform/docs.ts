/** The descriptions of the contract, and a page to read and try them. */
import express from 'express';
import type { Express } from 'express';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { asyncapi } from '../contract/asyncapi.ts';
import { openapi } from '../contract/openapi.ts';
import { REST } from '../contract/rest.ts';
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
  app.get('/docs/swagger-initializer.js', (_request, response) => {
    response.type('text/javascript').send(PAGE_SCRIPT);
  });
  app.use('/docs', express.static(assets, { index: 'index.html' }));
}
