/**
 * One system call for all that a connection is sent in one turn of the event loop: an acknowledgement, the message
 * itself and those of others leave together, where Engine.IO writes each packet by itself, in two pieces.
 *
 * What Engine.IO has queued for the connection goes to its TCP socket as finished WebSocket frames, below Socket.IO's
 * public interface (engine.io 6.6, socket.io-adapter 2.5, ws 8). That is done only while everything is ordinary:
 * an open WebSocket without compression whose earlier bytes the kernel has taken, and packets that are texts. In every
 * other case Engine.IO flushes as it always does, so that what waits for a slow reader waits in its queue, in order.
 */
import type { Server } from 'socket.io';

interface Packet {
  readonly type: string;
  readonly data?: unknown;
  /** `wsPreEncodedFrame`: header and payload, made once for all receivers of a broadcast. */
  readonly options?: { readonly wsPreEncodedFrame?: Buffer[] };
}

/** The parts of an Engine.IO socket that its types keep private. */
interface Connection {
  flush: () => void;
  readonly readyState: string;
  writeBuffer: Packet[];
  readonly packetsFn: readonly unknown[];
  readonly transport: {
    readonly name: string;
    readonly writable: boolean;
    readonly perMessageDeflate?: unknown;
    readonly socket?: WebSocket;
  };
}

interface WebSocket {
  readonly readyState: number;
  readonly _socket?: { readonly writableLength: number; write(bytes: Buffer): void } | null;
}

const OPEN = 1;
const FIN_AND_TEXT = 0x81;
/** What Engine.IO puts before the text of a message. */
const MESSAGE = 0x34;
/** Engine.IO's ping: the one packet that every connection is sent, every ten seconds. */
const PING = Buffer.from([FIN_AND_TEXT, 1, 0x32]);

/** An Engine.IO message as one unmasked WebSocket frame (RFC 6455, 5.2). */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text) + 1;
  const header = length < 126 ? 2 : length < 0x1_0000 ? 4 : 10;
  const frame = Buffer.allocUnsafe(header + length);
  frame[0] = FIN_AND_TEXT;
  if (header === 2) frame[1] = length;
  else if (header === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame[header] = MESSAGE;
  frame.write(text, header + 1);
  return frame;
}

function frameOf({ type, data, options }: Packet): Buffer | undefined {
  const parts = options?.wsPreEncodedFrame;
  if (parts) {
    // The list is shared by all receivers, and ws takes a list of one as well.
    if (parts.length > 1) parts.splice(0, parts.length, Buffer.concat(parts));
    return parts[0];
  }
  if (type === 'message' && typeof data === 'string') return textFrame(data);
  return type === 'ping' && data === undefined ? PING : undefined;
}

/** The TCP socket of a connection that may be written to directly; one that is to be closed waits for its drain. */
function freeSocket({ readyState, packetsFn, transport }: Connection) {
  const { name, writable, perMessageDeflate, socket } = transport;
  if (readyState !== 'open' || packetsFn.length > 0 || name !== 'websocket' || !writable) return undefined;
  const tcp = socket?.readyState === OPEN && !perMessageDeflate ? socket._socket : undefined;
  return tcp?.writableLength === 0 ? tcp : undefined;
}

/** Writes all that is queued; false, with nothing done, when it is not for us to write. */
function writeAll(connection: Connection): boolean {
  const tcp = freeSocket(connection);
  if (!tcp) return false;
  const frames = connection.writeBuffer.map(frameOf);
  if (!frames.every((frame) => frame !== undefined)) return false;
  connection.writeBuffer = [];
  tcp.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
  return true;
}

/** Call once the server is attached; holds for every connection made from then on. */
export function shareWrites(server: Server): void {
  let due: (() => void)[] = [];
  const flushAll = () => {
    const now = due;
    due = [];
    for (const flush of now) flush();
  };

  server.engine.on('connection', (connection: Connection) => {
    if (!Array.isArray(connection.writeBuffer) || !Array.isArray(connection.packetsFn)) return;
    const flush = connection.flush.bind(connection);
    let isDue = false;
    const flushNow = () => {
      isDue = false;
      if (connection.writeBuffer.length > 0 && !writeAll(connection)) flush();
    };
    connection.flush = () => {
      if (isDue) return;
      isDue = true;
      if (due.push(flushNow) === 1) process.nextTick(flushAll);
    };
  });
}
