/** The operators' server: metrics, health, the queue dashboard, and what features hand in. Not for the public. */
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Queue } from 'bullmq';
import express from 'express';
import { randomUUID } from 'node:crypto';
import type { Health } from './health.ts';
import { endWithProblems } from './http.ts';
import { createHttpServer } from './http-server.ts';
import type { HttpServer } from './http-server.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

/** A call for operators; answers 200 with what `handle` resolves with, or the problem that it throws. */
export interface OpsRoute {
  method: 'get' | 'post';
  /** An express path; its parameters are what `handle` gets. */
  path: string;
  handle(params: Record<string, string>): Promise<object>;
}

/** The server, not yet listening. */
export function createOpsServer({
  metrics,
  health,
  queues,
  routes,
  log,
}: {
  metrics: Metrics;
  health: Health;
  queues: Queue[];
  routes: OpsRoute[];
  log: Logger;
}): HttpServer {
  const app = express();
  app.disable('x-powered-by');
  app.use((_request, response, next) => {
    response.locals.requestId = randomUUID();
    response.locals.log = log;
    next();
  });
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.get('/health/live', (_request, response) => {
    response.json({ status: 'ok' });
  });
  app.get('/health/ready', async (_request, response) => {
    const { status, body } = await health.ready();
    response.status(status).json(body);
  });
  for (const { method, path, handle } of routes) {
    app[method](path, async (request, response) => {
      response.set('Cache-Control', 'no-store').json(await handle(request.params as Record<string, string>));
    });
  }
  const dashboard = new ExpressAdapter();
  dashboard.setBasePath('/queues');
  createBullBoard({ queues: queues.map((queue) => new BullMQAdapter(queue)), serverAdapter: dashboard });
  app.use('/queues', dashboard.getRouter());
  endWithProblems(app);
  return createHttpServer(app);
}
