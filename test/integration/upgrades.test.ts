/** Requests that offer h2c, as Java's HttpClient does with every one, and WebSockets where nobody takes them. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { freePort } from '../../dev/services/programs.ts';
import { createHttpServer } from '../../src/platform/http-server.ts';
import { dial, upgrade } from '../corpus/wire.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

const H2C = 'Host: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
const PLAIN = 'Host: x\r\n';

/** The bodies of the responses in `bytes`, which all have a Content-Length. */
const bodies = (bytes: Buffer) =>
  bytes
    .toString('latin1')
    .split(/HTTP\/1\.1 \d{3} .*\r\n/)
    .slice(1)
    .map((response) => response.split('\r\n\r\n')[1]!);

describe('a server that takes WebSockets', () => {
  const sockets = new Set<Socket>();
  const echo: RequestListener = (request, response) => {
    sockets.add(request.socket);
    void text(request).then((body) => {
      // Past the turn in which all that came in one packet is read.
      const answer = () => void response.end(`${request.method} ${request.url} ${body}`);
      if (request.url === '/slow') setImmediate(answer);
      else answer();
    });
  };
  const http = createHttpServer(echo, { webSockets: '/sockets/' });
  const seen: string[] = [];
  http.server.on('upgrade', (request, connection) => {
    seen.push(`${request.headers.upgrade} ${request.url}`);
    connection.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nwelcome');
  });
  let port: number;
  beforeAll(async () => void (port = await http.listen(0)));
  afterAll(() => http.close());

  /** What is answered to `packets` on one connection, and whether the server ended it by then. */
  const ask = async (answers: number, ...packets: string[]) => {
    const line = dial(port);
    for (const packet of packets) {
      await new Promise<void>((sent) => void line.socket.write(packet, 'latin1', () => sent()));
    }
    await until(() => bodies(line.received()).length >= answers || line.ended(), `${answers} answers`);
    return { line, answers: bodies(line.received()) };
  };

  it('closes under the eyes of a client that connected in advance and sends nothing', async () => {
    const own = createHttpServer(echo, { webSockets: '/sockets/' });
    const line = dial(await own.listen(0));
    await new Promise((accepted) => own.server.once('connection', accepted));
    const closed = own.close();
    await until(() => line.ended(), 'the end of the connection').finally(() => line.socket.destroy());
    await closed;
  });

  it('answers GET as if nothing had been offered, and keeps the connection', async () => {
    const { line, answers } = await ask(1, `GET /1?a=b HTTP/1.1\r\n${H2C}\r\n`);
    expect(answers).toEqual(['GET /1?a=b ']);
    line.socket.write(`GET /again HTTP/1.1\r\n${H2C}\r\n`);
    await until(() => bodies(line.received()).length === 2, 'the second answer');
    line.socket.write(`GET /plain HTTP/1.1\r\n${PLAIN}\r\n`);
    await until(() => bodies(line.received()).length === 3, 'the third answer');
    expect(line.ended()).toBe(false);
    line.socket.destroy();
  });

  it.each([
    ['with a length', [`POST /1 HTTP/1.1\r\n${H2C}Content-Length: 5\r\n\r\nhello`]],
    ['in packets of its own', [`POST /1 HTTP/1.1\r\n${H2C}Content-Length: 5\r\n\r\n`, 'he', 'llo']],
    [
      'in chunks',
      [`POST /1 HTTP/1.1\r\n${H2C}Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n`, '3\r\nllo\r\n0\r\n\r\n'],
    ],
    [
      'whose length is behind a thousand headers',
      [`POST /1 HTTP/1.1\r\n${H2C}${'a:\r\n'.repeat(1_500)}Content-Length: 5\r\n\r\nhello`],
    ],
  ])('reads a body %s', async (_how, packets) => {
    const { line, answers } = await ask(1, ...packets);
    expect(answers).toEqual(['POST /1 hello']);
    line.socket.destroy();
  });

  it('answers everything that came in one packet, in its order', async () => {
    const { line, answers } = await ask(
      6,
      `GET /slow HTTP/1.1\r\n${PLAIN}\r\nGET /2 HTTP/1.1\r\n${H2C}\r\nGET /slow HTTP/1.1\r\n${H2C}\r\n` +
        `POST /4 HTTP/1.1\r\n${H2C}Content-Length: 5\r\n\r\nhelloGET /5 HTTP/1.1\r\n${PLAIN}\r\n` +
        `GET /6 HTTP/1.1\r\n${PLAIN}\r\n`,
    );
    expect(answers).toEqual(['GET /slow ', 'GET /2 ', 'GET /slow ', 'POST /4 hello', 'GET /5 ', 'GET /6 ']);
    line.socket.destroy();
  });

  it('ends the connection when it is told to', async () => {
    const { line, answers } = await ask(
      1,
      `GET /1 HTTP/1.1\r\n${H2C.replace('Upgrade, ', 'close, Upgrade, ')}\r\n`,
    );
    expect(answers).toEqual(['GET /1 ']);
    await until(() => line.ended(), 'the end');
  });

  it('leaves nothing behind on a connection', async () => {
    sockets.clear();
    const { line } = await ask(1, `GET / HTTP/1.1\r\n${H2C}\r\n`);
    const [socket] = sockets as Set<Socket>;
    const listeners = () => socket!.eventNames().map((name) => [name, socket!.listenerCount(name)]);
    const before = listeners();
    for (let n = 2; n <= 30; n++) {
      line.socket.write(`GET / HTTP/1.1\r\n${H2C}\r\n`);
      await until(() => bodies(line.received()).length === n, `answer ${n}`);
    }
    expect(listeners()).toEqual(before);
    line.socket.destroy();
  });

  it('is closed at once, whoever is still connected', async () => {
    const own = createHttpServer((_request, response) => void response.end());
    const line = dial(await own.listen(0));
    line.socket.write(`GET / HTTP/1.1\r\n${H2C}\r\n`);
    await until(() => bodies(line.received()).length === 1, 'an answer');
    await own.close();
    await until(() => line.ended(), 'the end');
  });

  it('shows its listeners the WebSockets on their path alone', async () => {
    const { answers } = await ask(1, upgrade('/sockets/?a'));
    expect(answers).toEqual(['welcome']);
    expect(seen).toEqual(['websocket /sockets/?a']);
    const { line: elsewhere, answers: there } = await ask(1, upgrade('/elsewhere'));
    expect(there).toEqual(['GET /elsewhere ']);
    await until(() => elsewhere.ended(), 'the end');
    expect(seen).toHaveLength(1);
  });
});

describe('the city', () => {
  let city: City;
  let opsPort: number;
  beforeAll(async () => {
    opsPort = await freePort();
    city = await startCity({ env: { OPS_PORT: String(opsPort) } });
  });
  afterAll(() => city.stop());

  const portOf = (which: string) => (which === 'OPS_PORT' ? opsPort : Number(new URL(city.url()).port));
  /** The head of the answer to `bytes`, once it is there and, where `end`, the server has ended the connection. */
  const head = async (port: number, bytes: string, end = false) => {
    const line = dial(port);
    line.socket.write(bytes);
    await until(() => line.received().includes('\r\n\r\n') && (!end || line.ended()), 'an answer');
    line.socket.destroy();
    return line.received().toString('latin1').split('\r\n')[0];
  };

  it.each(['PORT', 'OPS_PORT'])('answers a client that offers h2c on %s', async (which) => {
    expect(await head(portOf(which), `GET /health/ready HTTP/1.1\r\n${H2C}\r\n`)).toBe('HTTP/1.1 200 OK');
  });

  it.each(['PORT', 'OPS_PORT'])('refuses a WebSocket that nobody takes on %s, and ends it', async (which) => {
    expect(await head(portOf(which), upgrade('/nowhere'), true)).toBe('HTTP/1.1 404 Not Found');
  });

  it('refuses a WebSocket on OPS_PORT also where PORT has one', async () => {
    expect(await head(opsPort, upgrade(), true)).toBe('HTTP/1.1 404 Not Found');
    expect(await head(portOf('PORT'), upgrade())).toBe('HTTP/1.1 101 Switching Protocols');
  });

  it('sends a message for a client that offers h2c', async () => {
    const body = '{"body":"from Java"}';
    const token = await city.token('u_java');
    const request =
      `POST /city/rooms/general/messages HTTP/1.1\r\n${H2C}Authorization: Bearer ${token}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    expect(await head(portOf('PORT'), request)).toBe('HTTP/1.1 201 Created');
  });

  it('begins a polling connection for a client that offers h2c', async () => {
    const path = '/socket.io/?EIO=4&transport=polling';
    expect(await head(portOf('PORT'), `GET ${path} HTTP/1.1\r\n${H2C}\r\n`)).toBe('HTTP/1.1 200 OK');
  });
});
