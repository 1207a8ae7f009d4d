/**
 * The Socket.IO protocol over a bare WebSocket, for many connections in one process: a frame is looked at byte by byte
 * and handed on undecoded.
 */
import { WebSocket } from 'ws';

/** A packet's data in its frame: the JSON array begins at `at`. */
export type OnFrame = (frame: Buffer, at: number) => void;

export interface Wire {
  /** Sends an event with an acknowledgement; `payload` is JSON already. */
  request(namespace: string, event: string, payload: string, onAck: OnFrame): void;
  /** Requests that have no acknowledgement yet. */
  pending(): number;
  close(): void;
}

export interface WireOptions {
  url: string;
  /** Connected in this order, each once the one before is through. */
  namespaces: string[];
  /** JSON of what the handshake carries, e.g. `{"token":"…"}`. */
  auth: string;
  /** Every event of the server. */
  onEvent?: (frame: Buffer, at: number, namespace: string) => void;
  /** The connection ended without being asked to. */
  onLost?: (reason: string) => void;
}

/** As socket.io-client has it. */
const CONNECT_MS = 20_000;
const RECONNECT_MS = 1_000;
const [OPEN, PING, MESSAGE] = [0x30, 0x32, 0x34];
const [CONNECT, DISCONNECT, EVENT, ACK, REFUSED] = [0x30, 0x31, 0x32, 0x33, 0x34];
const COMMA = 0x2c;
const BRACKET = 0x5b;

/** Thrown when the node is too busy for a handshake: it said so and when to come again, or did not answer in time. */
export class Busy extends Error {
  readonly retryAfterMs: number;

  constructor(message: string, retryAfterMs: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

/** Resolves when all namespaces are connected. @throws Busy */
export function openWire(options: WireOptions): Promise<Wire> {
  const { url, namespaces, auth, onEvent, onLost } = options;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`, {
    perMessageDeflate: false,
    skipUTF8Validation: true,
  });
  const waiting = new Map<number, OnFrame>();
  let asked = 0;
  let connected = 0;
  let closed = false;

  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      closed = true;
      clearTimeout(deadline);
      socket.terminate();
      reject(error);
    };
    const deadline = setTimeout(
      () => fail(new Busy(`not connected in ${CONNECT_MS} ms`, RECONNECT_MS)),
      CONNECT_MS,
    );
    const lost = (reason: string) => {
      if (closed) return;
      if (connected < namespaces.length) return fail(new Error(reason));
      closed = true;
      onLost?.(reason);
    };

    const wire: Wire = {
      request(namespace, event, payload, onAck) {
        const id = ++asked;
        waiting.set(id, onAck);
        socket.send(`42${namespace},${id}["${event}",${payload}]`);
      },
      pending: () => waiting.size,
      close() {
        closed = true;
        socket.terminate();
      },
    };

    const enter = () => {
      if (connected < namespaces.length) return socket.send(`40${namespaces[connected]!},${auth}`);
      clearTimeout(deadline);
      resolve(wire);
    };
    const packet = (frame: Buffer) => {
      const comma = frame.indexOf(COMMA);
      switch (frame[1]) {
        case EVENT: {
          if (!onEvent) return;
          // What is expected of a server that is measured: no acknowledgement asked for, so the array follows at once.
          const name = namespaces.length === 1 ? namespaces[0]! : frame.toString('latin1', 2, comma);
          return onEvent(frame, comma + 1, name);
        }
        case ACK: {
          let id = 0;
          let at = comma + 1;
          for (; frame[at] !== BRACKET; at++) id = id * 10 + frame[at]! - 0x30;
          const onAck = waiting.get(id);
          waiting.delete(id);
          return onAck?.(frame, at);
        }
        case CONNECT:
          connected++;
          return enter();
        case DISCONNECT:
          return lost(`disconnected by the server: ${String(frame)}`);
        case REFUSED:
          return fail(new Error(`refused: ${String(frame)}`));
        default:
          return lost(`a frame that is not understood: ${String(frame).slice(0, 200)}`);
      }
    };
    socket.on('message', (frame: Buffer) => {
      switch (frame[0]) {
        case MESSAGE:
          return packet(frame);
        case PING:
          return socket.send('3');
        case OPEN:
          return enter();
        default:
          return lost(`a frame that is not understood: ${String(frame).slice(0, 200)}`);
      }
    });
    socket.on('unexpected-response', (_request, response) => {
      const seconds = Number(response.headers['retry-after']);
      if (response.statusCode === 503 && seconds > 0) return fail(new Busy('answered 503', seconds * 1_000));
      fail(new Error(`the server answered ${response.statusCode}`));
    });
    socket.on('error', (error) => lost(error.message));
    socket.on('close', (code) => lost(`closed with ${code}`));
  });
}
