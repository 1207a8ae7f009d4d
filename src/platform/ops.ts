/** The operators' server: metrics, health, the queue dashboard. Not for the public. */
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Queue } from 'bullmq';
import express from 'express';
import type { Health } from './health.ts';
import { createHttpServer } from './http-server.ts';
import type { HttpServer } from './http-server.ts';
import type { Metrics } from './metrics.ts';

/** The server, not yet listening. */
export function createOpsServer({
  metrics,
  health,
  queues,
}: {
  metrics: Metrics;
  health: Health;
  queues: Queue[];
}): HttpServer {
  const app = express();
  app.disable('x-powered-by');
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
  const dashboard = new ExpressAdapter();
  dashboard.setBasePath('/queues');
  createBullBoard({ queues: queues.map((queue) => new BullMQAdapter(queue)), serverAdapter: dashboard });
  app.use('/queues', dashboard.getRouter());
  return createHttpServer(app);
}
