/** Writes below Engine.IO: one for all of a turn, in order, and Engine.IO's own way whenever something is not ordinary. */
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { createServer } from 'node:http';
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import type { Socket } from 'socket.io';
import { io } from 'socket.io-client';
import type { Socket as Client } from 'socket.io-client';
import { WebSocket } from 'ws';
import { broadcastHere } from '../../src/platform/broadcast.ts';
import { shareWrites, textFrame } from '../../src/platform/shared-writes.ts';
import { until } from '../support/until.ts';

let http: HttpServer;
let server: Server;
let url: string;
const clients: (Client | WebSocket)[] = [];

beforeEach(async () => {
  http = createServer();
  server = new Server(http, { perMessageDeflate: false });
  shareWrites(server);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  url = `127.0.0.1:${(http.address() as AddressInfo).port}`;
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await server.close();
});

async function connect(transports: string[]): Promise<{ client: Client; socket: Socket; got: unknown[] }> {
  const joined = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = io(`http://${url}`, { transports, forceNew: true });
  clients.push(client);
  const got: unknown[] = [];
  client.on('n', (value) => got.push(value));
  const socket = await joined;
  await until(() => client.connected, 'the connection');
  return { client, socket, got };
}

/** `broadcastHere`, with the event of these tests; it names the namespace, even this one, which goes without. */
const broadcastAll = (value: unknown) =>
  broadcastHere(server.of('/') as never, 'room', 'n' as never, ...([value] as never));

interface Connection {
  writeBuffer: unknown[];
  write(text: string): void;
  close(): void;
  transport: { socket: { _socket: { write(...args: unknown[]): boolean } } };
}

/** A client that shows every text as it came, and the server's side of its connection. */
async function connectRaw() {
  const joined = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const raw = new WebSocket(`ws://${url}/socket.io/?EIO=4&transport=websocket`);
  clients.push(raw);
  const texts: string[] = [];
  raw.on('message', (data) => texts.push(String(data)));
  raw.once('message', () => raw.send('40'));
  const socket = await joined;
  await until(() => texts.length === 2, 'the answer to the handshake');
  return { raw, socket, texts, connection: socket.conn as unknown as Connection };
}

it('sends what one turn has for a connection in one piece, in order', async () => {
  const { socket, texts, connection } = await connectRaw();
  const tcp = connection.transport.socket._socket;
  const write = tcp.write.bind(tcp);
  let writes = 0;
  tcp.write = (...args) => {
    writes++;
    return write(...args);
  };
  void socket.join('room');
  socket.emit('n', 1);
  server.to('room').emit('n', 2);
  broadcastAll(3);
  socket.emit('n', 4);
  await until(() => texts.length === 6, 'all four');
  expect(texts.slice(2)).toEqual(['42["n",1]', '42["n",2]', '42/,["n",3]', '42["n",4]']);
  expect(writes).toBe(1);
});

it.each([1, 124, 125, 126, 127, 65_533, 65_534, 65_535, 70_000])(
  'frames a text of %i bytes',
  async (size) => {
    const { raw } = await connectRaw();
    const text = 'ї'.repeat(Math.floor(size / 2)) + 'x'.repeat(size % 2);
    const received = new Promise((resolve) => raw.once('message', (data) => resolve(String(data))));
    const [connection] = Object.values(
      (server.engine as unknown as { clients: Record<string, unknown> }).clients,
    );
    (connection as { write(text: string): void }).write(text);
    expect(await received).toBe(`4${text}`);
    expect(textFrame(text).subarray(-size).toString()).toBe(text);
  },
);

it.each([[['websocket']], [['polling']], [['polling', 'websocket']]])(
  'keeps the order over %j, broadcasts and single messages mixed',
  async (transports) => {
    const { socket, got } = await connect(transports);
    void socket.join('room');
    for (let n = 0; n < 2_000; n++) {
      if (n % 3 === 0) socket.emit('n', n);
      else if (n % 3 === 1) server.to('room').emit('n', n);
      else broadcastAll(n);
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => got.length === 2_000, 'everything');
    expect(got).toEqual(Array.from({ length: 2_000 }, (_, n) => n));
  },
);

it('leaves what a stalled reader does not take in the queue of Engine.IO, and goes on in order', async () => {
  const { raw, socket, texts, connection } = await connectRaw();
  raw.pause();
  let sent = 0;
  while (connection.writeBuffer.length < 20) {
    socket.emit('n', sent++, 'x'.repeat(50_000));
    await new Promise((resolve) => setImmediate(resolve));
  }
  raw.resume();
  socket.emit('n', sent++, '');
  await until(() => texts.length === sent + 2, 'everything');
  expect(texts.slice(2).map((text) => Number(/\d+/.exec(text.slice(2))![0]))).toEqual(
    Array.from({ length: sent }, (_, n) => n),
  );
});

it('sends what is queued before it closes', async () => {
  const { client, socket, got } = await connect(['websocket']);
  socket.emit('n', 'farewell');
  socket.disconnect(true);
  await until(() => client.disconnected, 'the end');
  expect(got).toEqual(['farewell']);
});

it('carries binary, which is not a text, the ordinary way between texts', async () => {
  const { socket, got } = await connect(['websocket']);
  socket.emit('n', 'before');
  socket.emit('n', Buffer.from('bytes'));
  socket.emit('n', 'after');
  await until(() => got.length === 3, 'all three');
  expect(got.map(String)).toEqual(['before', 'bytes', 'after']);
});

it('broadcasts to those in the room who are here, what they see being what they are sent by Socket.IO', async () => {
  const [inside, outside, gone] = [
    await connect(['websocket']),
    await connect(['polling']),
    await connectRaw(),
  ];
  void inside.socket.join('room');
  void gone.socket.join('room');
  gone.socket.emit('n', 'farewell');
  gone.connection.close(); // once that is sent
  const text = 'ї "\u2028" \ud83d\ude00'.repeat(40);
  server.to('room').emit('n', text);
  broadcastAll(text);
  expect(gone.connection.writeBuffer).toHaveLength(1);
  outside.socket.emit('n', 'end');
  await until(() => inside.got.length === 2 && outside.got.length === 1, 'all that was sent');
  expect(inside.got).toEqual([text, text]);
  expect(outside.got).toEqual(['end']);
});

it('pings in one write as Engine.IO does', async () => {
  const { raw, connection } = await connectRaw();
  const tcp = connection.transport.socket._socket;
  const written: unknown[] = [];
  const write = tcp.write.bind(tcp);
  tcp.write = (...args) => {
    written.push(args[0]);
    return write(...args);
  };
  const pinged = new Promise((resolve) => raw.once('message', (data) => resolve(String(data))));
  (connection as unknown as { sendPacket(type: string): void }).sendPacket('ping');
  expect(await pinged).toBe('2');
  expect(written).toEqual([Buffer.from([0x81, 1, 0x32])]);
});
