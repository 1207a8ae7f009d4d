/** Which connections a node takes: what each address and each user may open, and how many may wait without a token. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ERRORS } from '../contract/errors.ts';
import type { AddressOf } from './addresses.ts';
import { AppError, retryAfterMs, toAppError } from './errors.ts';
import type { AnySocket, Io } from './io.ts';
import type { Limits } from './limits.ts';
import type { Metrics } from './metrics.ts';

/** How much there may be at once on one node. */
export interface Caps {
  /** Live sockets of one user in one namespace. */
  readonly connectionsUser: number;
  /** Connections of one address. */
  readonly connectionsAddress: number;
  /** Connections of one address on which no token was accepted yet; Socket.IO ends them after 10 s. */
  readonly unauthenticatedAddress: number;
}

interface AdmissionDeps {
  /** Nothing is refused when off. */
  on: boolean;
  caps: Caps;
  limits: Limits;
  addressOf: AddressOf;
  metrics: Metrics;
}

type Connection = AnySocket['conn'];

const RETRY_MS = 5_000;

export type Admission = ReturnType<typeof createAdmission>;

/** Refuses a handshake over HTTP; a WebSocket's by hand, since the response object that comes with it says nothing. */
function refuse(request: IncomingMessage, response: ServerResponse, problem: AppError): void {
  const { status, title } = ERRORS[problem.code];
  const body = JSON.stringify({ title, status, code: problem.code, detail: problem.message });
  const headers = {
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(body),
    'Retry-After': Math.ceil((retryAfterMs(problem) ?? 0) / 1000),
  };
  if (request.headers.upgrade === undefined) return void response.writeHead(status, headers).end(body);
  const lines = Object.entries({ ...headers, Connection: 'close' }).map((pair) => pair.join(': '));
  request.socket.end([`HTTP/1.1 ${status} ${title}`, ...lines, '', body].join('\r\n'));
}

export function createAdmission({ on, caps, limits, addressOf, metrics }: AdmissionDeps) {
  const addresses = new Map<string, { open: number; strangers: number }>();
  /** Connections without an accepted token, with the count that they are in. */
  const strangers = new Map<object, { strangers: number }>();
  /** Sockets, by namespace and user. */
  const users = new Map<string, number>();

  const capped = (limit: string, message: string) => {
    metrics.refusals.inc({ limit });
    return new AppError('rate_limited', message, { retryAfterMs: RETRY_MS });
  };

  const admit = async (request: IncomingMessage) => {
    const address = addressOf(request);
    await limits.take('connect_address', address);
    const count = addresses.get(address);
    if (!count) return;
    if (count.open >= caps.connectionsAddress) {
      throw capped('connections_address', 'There are too many connections from your address.');
    }
    if (count.strangers >= caps.unauthenticatedAddress) {
      throw capped('unauthenticated_address', 'Too many connections from your address have shown no token.');
    }
  };

  const recognise = (connection: object) => {
    const count = strangers.get(connection);
    if (count && strangers.delete(connection)) count.strangers -= 1;
  };

  const follow = (connection: Connection) => {
    const address = addressOf(connection.request);
    const count = addresses.get(address) ?? { open: 0, strangers: 0 };
    addresses.set(address, count);
    count.open += 1;
    count.strangers += 1;
    strangers.set(connection, count);
    connection.once('close', () => {
      recognise(connection);
      count.open -= 1;
      if (count.open === 0) addresses.delete(address);
    });
  };

  /** Counts a socket until it or its connection is gone: one whose connection goes first never says so itself. */
  const hold = (socket: AnySocket, key: string) => {
    users.set(key, (users.get(key) ?? 0) + 1);
    const release = () => {
      socket.off('disconnect', release);
      socket.conn.off('close', release);
      const left = users.get(key)! - 1;
      if (left === 0) users.delete(key);
      else users.set(key, left);
    };
    socket.on('disconnect', release);
    socket.conn.on('close', release);
  };

  return {
    /** Stands before every handshake of a server that is attached; refuses with 429 and Retry-After. */
    guard({ server }: Io): void {
      if (!on) return;
      server.engine.on('connection', follow);
      server.engine.use((request: IncomingMessage, response: ServerResponse, next: () => void) => {
        if (new URLSearchParams(request.url?.split('?')[1]).has('sid')) return next();
        // Nobody else listens to an upgraded socket yet, and an error without a listener ends the process.
        if (request.headers.upgrade !== undefined) request.socket.on('error', () => {});
        admit(request).then(next, (error: unknown) => refuse(request, response, toAppError(error)));
      });
    },

    /**
     * Notes the address of a socket that asks to be let in; to be called before its token is looked at.
     * @throws AppError rate_limited
     */
    async knock(socket: AnySocket): Promise<void> {
      socket.data.address = addressOf(socket.request);
      await limits.take('event_address', socket.data.address);
    },

    /**
     * Lets the socket of a known caller in; nothing may refuse it after.
     * @throws AppError rate_limited
     */
    async enter(socket: AnySocket): Promise<void> {
      const { caller } = socket.data;
      await limits.take('connect', caller.id);
      if (!on || socket.conn.readyState !== 'open') return;
      const key = `${socket.nsp.name} ${caller.id}`;
      if ((users.get(key) ?? 0) >= caps.connectionsUser) {
        throw capped('connections_user', 'You have too many connections.');
      }
      recognise(socket.conn);
      hold(socket, key);
    },
  };
}
