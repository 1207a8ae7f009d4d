/** Bytes on a TCP connection: HTTP as no client would send it, and WebSocket frames made by hand. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { until } from '../support/until.ts';

/** How long an answer or an end is waited for. */
const PATIENCE_MS = 20_000;

export interface Line {
  readonly socket: Socket;
  /** Everything that came so far. */
  received(): Buffer;
  /** Whether the server has ended the connection. */
  ended(): boolean;
}

/** A connection on which a reset is an end like any other. */
export function dial(port: number): Line {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  let received = Buffer.alloc(0);
  let ended = false;
  socket.on('data', (piece: Buffer) => (received = Buffer.concat([received, piece])));
  for (const event of ['end', 'close']) socket.on(event, () => (ended = true));
  socket.on('error', () => {});
  return { socket, received: () => received, ended: () => ended };
}

/** The statuses of the HTTP responses in `bytes`. */
const statuses = (bytes: Buffer) =>
  [...bytes.toString('latin1').matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map(([, status]) => status!);

/**
 * Sends `bytes` as they are and tells what came: the statuses of `answers` responses, fewer when the server ended the
 * connection before; `closed` when it said nothing.
 */
export async function exchange(
  port: number,
  bytes: string | Buffer,
  { answers = 1, half = false, afterwards = (_line: Line) => {} } = {},
): Promise<string> {
  const line = dial(port);
  line.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  if (half) line.socket.end();
  afterwards(line);
  const all = () => statuses(line.received()).filter((status) => status !== '100');
  await until(() => line.ended() || all().length >= answers, 'an answer or an end', PATIENCE_MS);
  const text = line.received().toString('latin1');
  line.socket.destroy();
  if (/\n\s+at .*:\d+:\d+|node_modules/.test(text)) return `a stack trace: ${text}`;
  return all().join(' ') || 'closed';
}

interface FrameOptions {
  opcode?: number;
  fin?: boolean;
  mask?: boolean;
  /** The three reserved bits. */
  reserved?: number;
  /** A length other than the payload's. */
  claim?: bigint;
}

/** One WebSocket frame (RFC 6455, section 5.2). */
export function frame(
  payload: string | Buffer,
  { opcode = 1, fin = true, mask = true, reserved = 0, claim }: FrameOptions = {},
): Buffer {
  const data = Buffer.from(payload as string);
  const length = claim ?? BigInt(data.length);
  const head = [(fin ? 0x80 : 0) | (reserved << 4) | opcode];
  const masked = mask ? 0x80 : 0;
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(length);
  if (length < 126n) head.push(masked | Number(length));
  else if (length < 65_536n) head.push(masked | 126, ...size.subarray(6));
  else head.push(masked | 127, ...size);
  if (!mask) return Buffer.concat([Buffer.from(head), data]);
  const key = randomBytes(4);
  return Buffer.concat([Buffer.from(head), key, data.map((byte, at) => byte ^ key[at % 4]!)]);
}

/** The text frames in what a server sent, and whether a close frame came. */
function readFrames(bytes: Buffer): { texts: string[]; closed: boolean } {
  const texts: string[] = [];
  for (let at = 0; at + 2 <= bytes.length;) {
    const opcode = bytes[at]! & 0x0f;
    const short = bytes[at + 1]! & 0x7f;
    const [length, skip] =
      short < 126
        ? [short, 2]
        : short === 126
          ? [bytes.length < at + 4 ? Infinity : bytes.readUInt16BE(at + 2), 4]
          : [bytes.length < at + 10 ? Infinity : Number(bytes.readBigUInt64BE(at + 2)), 10];
    if (opcode === 8) return { texts, closed: true };
    const end = at + skip + length;
    if (end > bytes.length) break;
    if (opcode === 1) texts.push(bytes.subarray(at + skip, end).toString());
    at = end;
  }
  return { texts, closed: false };
}

export const ENGINE = '/socket.io/?EIO=4&transport=websocket';

/** The request that opens a WebSocket. */
export const upgrade = (path = ENGINE, headers: Record<string, string> = {}) =>
  [
    `GET ${path} HTTP/1.1`,
    ...Object.entries({
      Host: '127.0.0.1',
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    }).map((pair) => pair.join(': ')),
    '',
    '',
  ].join('\r\n');

export interface RawSocket extends Line {
  /** Sends a text frame. */
  send(text: string): void;
  /** The text frames that came so far. */
  texts(): string[];
  /** The first text frame that fits, or undefined when the connection ends first. */
  next(fits: (text: string) => boolean, what: string): Promise<string | undefined>;
}

/** A WebSocket on which the Engine.IO handshake is through. */
export async function openWebSocket(port: number, path = ENGINE): Promise<RawSocket> {
  const line = dial(port);
  line.socket.write(upgrade(path));
  const frames = () => {
    const bytes = line.received();
    const end = bytes.indexOf('\r\n\r\n');
    return end < 0 ? { texts: [], closed: false } : readFrames(bytes.subarray(end + 4));
  };
  const ended = () => line.ended() || frames().closed;
  const raw: RawSocket = {
    ...line,
    ended,
    texts: () => frames().texts,
    send: (text) => void line.socket.write(frame(text)),
    async next(fits, what) {
      await until(() => ended() || frames().texts.some(fits), what, PATIENCE_MS);
      return frames().texts.find(fits);
    },
  };
  if (!(await raw.next((text) => text.startsWith('0'), 'the handshake'))) throw new Error('refused');
  return raw;
}

/** A WebSocket that is in `namespace` as the owner of `token`. */
export async function enter(port: number, namespace: string, token: string): Promise<RawSocket> {
  const raw = await openWebSocket(port);
  raw.send(`40${namespace},${JSON.stringify({ token })}`);
  const answer = await raw.next((text) => /^4[04]/.test(text), `the way into ${namespace}`);
  if (!answer?.startsWith('40')) throw new Error(`${namespace}: ${answer}`);
  return raw;
}
