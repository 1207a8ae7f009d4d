/** The Matrix client against real servers that play the homeserver. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { inspect } from 'node:util';
import { createMatrixClient } from '../../src/matrix/matrix.client.ts';
import { AppError } from '../../src/platform/errors.ts';

const TOKEN = 'syt_secret_token';
const PRESENCE = { matrix_user_id: '@al/ice:example.org', access_token: TOKEN, status: 'online' } as const;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A client of `server`, which listens on a free port until the end of the test. */
async function clientOf(server: Server, { scheme = 'http', totalTimeoutMs = 5_000 } = {}) {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = createMatrixClient({
    homeserverUrl: `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    connectTimeoutMs: 500,
    totalTimeoutMs,
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    return client.close();
  });
  return client;
}

const homeserver = (
  handler: (req: IncomingMessage, res: ServerResponse) => unknown,
  options?: { totalTimeoutMs: number },
) =>
  clientOf(
    http.createServer((req, res) => void handler(req, res)),
    options,
  );

/** The AppError with which setting presence fails; that it keeps the token to itself is checked on the way. */
async function failure(client: ReturnType<typeof createMatrixClient>) {
  const error: unknown = await client.setPresence(PRESENCE).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(AppError);
  expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(TOKEN);
  return error as AppError;
}

describe('setting presence', () => {
  it('PUTs it with the token of the user', async () => {
    const got: unknown[] = [];
    const client = await homeserver(async (req, res) => {
      let body = '';
      for await (const chunk of req) body += String(chunk);
      got.push({
        line: `${req.method} ${req.url}`,
        authorization: req.headers.authorization,
        body: JSON.parse(body),
      });
      res.end('{}');
    });
    await client.setPresence(PRESENCE);
    await client.setPresence({ ...PRESENCE, status: 'unavailable', status_msg: 'обід' });
    const line = 'PUT /_matrix/client/v3/presence/%40al%2Fice%3Aexample.org/status';
    const authorization = `Bearer ${TOKEN}`;
    expect(got).toEqual([
      { line, authorization, body: { presence: 'online' } },
      { line, authorization, body: { presence: 'unavailable', status_msg: 'обід' } },
    ]);
  });

  it('succeeds whatever the body, and drops the connection of a long one at once', async () => {
    let closed: Promise<unknown> | undefined;
    const client = await homeserver(
      (_req, res) => {
        closed = once(res, 'close');
        res.writeHead(200, { 'content-length': 2 ** 30 }).write(Buffer.alloc(65_536));
      },
      { totalTimeoutMs: 60_000 },
    );
    await client.setPresence(PRESENCE);
    await closed;
  });

  it.each([401, 403])('is forbidden when the homeserver answers %i', async (status) => {
    const client = await homeserver((_req, res) => res.writeHead(status).end('{"errcode":"M_FORBIDDEN"}'));
    expect((await failure(client)).code).toBe('forbidden');
  });

  it.each([201, 204, 301, 302, 307, 400, 404, 429, 500, 502])(
    'is unavailable when the homeserver answers %i',
    async (status) => {
      let requests = 0;
      const client = await homeserver((_req, res) => {
        requests++;
        res.writeHead(status, { location: '/elsewhere' }).end();
      });
      expect((await failure(client)).code).toBe('matrix_unavailable');
      expect(requests).toBe(1);
    },
  );

  it('is unavailable when the homeserver resets the connection', async () => {
    const client = await homeserver((req) => req.socket.resetAndDestroy());
    expect((await failure(client)).code).toBe('matrix_unavailable');
  });

  it('is unavailable when the answer is no HTTP', async () => {
    const client = await clientOf(net.createServer((socket) => socket.end('220 mail ESMTP\r\n')));
    expect((await failure(client)).code).toBe('matrix_unavailable');
  });

  it('is unavailable when nothing listens', async () => {
    const server = net.createServer();
    const client = await clientOf(server);
    await new Promise((resolve) => server.close(resolve));
    expect((await failure(client)).code).toBe('matrix_unavailable');
  });

  it('is unavailable when no answer comes in time', async () => {
    const client = await homeserver(() => {}, { totalTimeoutMs: 200 });
    const started = performance.now();
    expect((await failure(client)).code).toBe('matrix_unavailable');
    expect(performance.now() - started).toBeLessThan(4_500);
  });

  it('is unavailable when the connection is not made in time', async () => {
    // A TLS handshake that is never answered counts as connecting.
    const client = await clientOf(
      net.createServer(() => {}),
      { scheme: 'https' },
    );
    const error = await failure(client);
    expect(error).toMatchObject({ code: 'matrix_unavailable', cause: { code: 'UND_ERR_CONNECT_TIMEOUT' } });
  });

  it('is unavailable when no homeserver is configured', async () => {
    expect((await failure(createMatrixClient({ homeserverUrl: undefined }))).code).toBe('matrix_unavailable');
  });
});
