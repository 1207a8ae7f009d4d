/** Lets handshakes in at a pace that a node can bear: after an outage everybody comes back at once. */
import { ServerResponse } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Counter, Gauge } from 'prom-client';
import type { Metrics } from './metrics.ts';

/** How often some are let in. */
const TURN_MS = 16;
/**
 * How many a turn. What a handshake costs, its joins included, comes after it, and differs; the event loop itself says
 * what it can bear. While some wait and turns come on time, each lets in one more than the last; half as many after a
 * late one.
 */
const LEAST = 2;
const MOST = 64;
const ON_TIME_MS = 10;
const LATE_MS = 30;
/** For so long what the loop bore a moment ago counts as what it bears. */
const KEPT_MS = 1_000;
/** Four seconds' worth at the least pace; a client gives up on a handshake after 20 s. */
const LINE_MAX = 500;
const RETRY_AFTER_S = 2;

/**
 * An Engine.IO middleware. Handshakes past the pace wait in line; when the line is full they are answered 503 with
 * `Retry-After`, which a default client meets with its own backoff. Everything of a live connection passes.
 */
export function createHandshakePace(
  metrics: Metrics,
  { turnMs = TURN_MS, least = LEAST, lineMax = LINE_MAX } = {},
) {
  const line = new Set<() => void>();
  let pace = least;
  let left = pace;
  let turnAt = 0;
  let timer: NodeJS.Timeout | undefined;
  const registers = [metrics.registry];
  const handshakes = new Counter({
    name: 'city_handshakes_total',
    help: 'Handshakes by what became of them: admitted, refused (the line was full), gone (while in line)',
    labelNames: ['outcome'],
    registers,
  });
  new Gauge({
    name: 'city_handshakes_waiting',
    help: 'Handshakes in line',
    registers,
    collect() {
      this.set(line.size);
    },
  });

  const admit = (next: () => void) => {
    left -= 1;
    if (!timer) {
      turnAt = performance.now() + turnMs;
      timer = setTimeout(turn, turnMs).unref();
    }
    handshakes.inc({ outcome: 'admitted' });
    next();
  };
  const turn = () => {
    timer = undefined;
    const late = performance.now() - turnAt;
    if (late > LATE_MS) pace = Math.max(least, Math.floor(pace / 2));
    else if (late < ON_TIME_MS && line.size > 0) pace = Math.min(MOST, pace + 1);
    left = pace;
    for (const enter of line) {
      if (left === 0) break;
      enter();
    }
  };

  const wait = (request: IncomingMessage, next: () => void) => {
    const { socket } = request;
    const leave = () => {
      line.delete(enter);
      handshakes.inc({ outcome: 'gone' });
    };
    const enter = () => {
      line.delete(enter);
      socket.off('close', leave);
      admit(next);
    };
    socket.once('close', leave);
    line.add(enter);
  };

  return (request: IncomingMessage, response: unknown, next: () => void): void => {
    const { sid } = (request as unknown as { _query: { sid?: string } })._query;
    if (sid) return next();
    if (!timer && performance.now() - turnAt > KEPT_MS) left = pace = least;
    if (left > 0 && line.size === 0) return admit(next);
    if (line.size < lineMax) return wait(request, next);
    handshakes.inc({ outcome: 'refused' });
    refuse(request, response);
  };
}

/** Answers 503. What Engine.IO hands out for a WebSocket is no response and can only hang up. */
function refuse({ socket }: IncomingMessage, response: unknown): void {
  if (response instanceof ServerResponse) {
    response.writeHead(503, { 'Retry-After': RETRY_AFTER_S, Connection: 'close' }).end();
    return;
  }
  socket.write(
    `HTTP/1.1 503 Service Unavailable\r\nRetry-After: ${RETRY_AFTER_S}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
  );
  socket.destroySoon();
}
