/** Handshakes past the pace wait in line, and past the line are refused in a way that a default client retries. */
import { afterEach, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Socket as TcpSocket } from 'node:net';
import { text } from 'node:stream/consumers';
import { Server } from 'socket.io';
import { io } from 'socket.io-client';
import { createHandshakePace } from '../../src/platform/handshake-pace.ts';
import { createHttpServer } from '../../src/platform/http-server.ts';
import { SOCKETS_PATH } from '../../src/platform/io.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { until } from '../support/until.ts';

const endings: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** A Socket.IO server on the server that nodes use, behind an admission of this pace. */
async function serve(pace: { turnMs: number; least: number; lineMax: number }) {
  const metrics = createMetrics();
  const http = createHttpServer((_request, response) => void response.writeHead(404).end(), {
    webSockets: SOCKETS_PATH,
  });
  const server = new Server(http.server);
  server.engine.use(createHandshakePace(metrics, pace));
  const port = await http.listen(0);
  endings.push(async () => {
    server.engine.close();
    await http.close();
  });
  const count = async (outcome: string) => {
    const found = await metrics.registry.getSingleMetric('city_handshakes_total')!.get();
    return found.values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;
  };
  const waiting = async () =>
    (await metrics.registry.getSingleMetric('city_handshakes_waiting')!.get()).values[0]!.value;
  return { server, port, count, waiting };
}

/** A WebSocket handshake on a plain TCP connection. */
function knock(port: number): TcpSocket {
  const connection = connectTcp(port, '127.0.0.1');
  endings.push(() => void connection.destroy());
  connection.on('error', () => {});
  connection.write(
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: city\r\nConnection: Upgrade\r\n' +
      'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  return connection;
}
const FOR_EVER = { turnMs: 3_600_000, least: 1, lineMax: 1 };

it.each([['websocket'], ['polling']])(
  'lets every default client in by itself, over %s',
  async (transport) => {
    const { port, count } = await serve({ turnMs: 100, least: 1, lineMax: 3 });
    const clients = Array.from({ length: 12 }, () =>
      io(`http://127.0.0.1:${port}`, { forceNew: true, transports: [transport], reconnectionDelay: 200 }),
    );
    endings.push(() => clients.forEach((client) => client.close()));
    await until(() => clients.every(({ connected }) => connected), 'all connected');
    expect(await count('admitted')).toBe(12);
    expect(await count('refused')).toBeGreaterThan(0);
  },
);

it('answers 503 with Retry-After when the line is full, and holds back nothing of a live connection', async () => {
  const { port, count, waiting, server } = await serve(FOR_EVER);
  const live = io(`http://127.0.0.1:${port}`, { forceNew: true });
  endings.push(() => void live.close());
  await until(() => live.io.engine?.transport.name === 'websocket', 'a connection that polled and upgraded');
  expect(server.engine.clientsCount).toBe(1);

  knock(port);
  await until(async () => (await waiting()) === 1, 'the line full');
  const refused = await text(knock(port));
  expect(refused).toMatch(/^HTTP\/1\.1 503 .*\r\nRetry-After: \d+\r\n/);
  const polled = await fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`);
  expect([polled.status, Number(polled.headers.get('retry-after'))]).toEqual([503, expect.any(Number)]);
  expect(await count('refused')).toBe(2);
  expect(await count('admitted')).toBe(1);
});

it('gives the place of whoever has gone to the next, and outlives a reset in line', async () => {
  const { port, count, waiting, server } = await serve({ ...FOR_EVER, lineMax: 2 });
  await once(knock(port), 'data');
  const polling = new AbortController();
  const polled = fetch(`http://127.0.0.1:${port}/socket.io/?EIO=4&transport=polling`, {
    signal: polling.signal,
  }).catch((error: Error) => error.name);
  const gone = knock(port);
  await until(async () => (await waiting()) === 2, 'two in line');
  polling.abort();
  expect(await polled).toBe('AbortError');
  gone.resetAndDestroy();
  await until(async () => (await count('gone')) >= 1, 'a place free');
  expect(server.engine.clientsCount).toBe(1);
});
