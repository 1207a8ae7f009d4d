/**
 * The gateway that every socket event passes: normalise the ack, parse strictly, check the token, the limits and the
 * policy, await the handler, answer, catch. Nothing that a client sends reaches a listener, so that nothing it sends can
 * throw outside of here.
 */
import type { z } from 'zod';
import type { Authorise } from '../auth/authorise.ts';
import type { Caller } from '../auth/caller.ts';
import type { AckError } from '../contract/errors.ts';
import { ERRORS } from '../contract/errors.ts';
import type { ClientEvents } from '../contract/events.ts';
import { AppError, retryAfterMs, toAppError } from './errors.ts';
import { parse } from './http.ts';
import type { AnySocket } from './io.ts';
import { createKeyedQueue } from './keyed-queue.ts';
import type { LimitClass, Limits } from './limits.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

export interface EventContext<S, Payload, Data> {
  socket: S;
  caller: Caller;
  payload: Payload;
  /** An event that is dropped, since it came past its limit: to be answered, and nothing more. */
  isDropped: boolean;
  /** Answers now, for a handler that must do something in the same tick after it; else the returned value answers. */
  answer(data: Data): void;
}

type Events = ClientEvents;
type Handler<S, E extends Events[string]> = (
  context: EventContext<S, z.output<E['payload']>, z.input<E['data']>>,
) => Promise<z.input<E['data']> | void> | z.input<E['data']> | void;

interface EventOptions {
  limit: LimitClass;
  /** Past the limit the handler is called with `isDropped`; for events that a client repeats by itself. */
  dropOverLimit?: boolean;
}

interface GatewayDeps {
  log: Logger;
  metrics: Metrics;
  limits: Limits;
  authorise: Authorise;
}

export type Gateway<S extends AnySocket, E extends Events> = ReturnType<typeof createGateway<S, E>>;

/** The negative acknowledgement for `error`. */
export function ackError(error: AppError): AckError {
  const wait = retryAfterMs(error);
  return {
    code: error.code,
    message: error.message,
    retryable: ERRORS[error.code].retryable,
    ...(wait === undefined ? {} : { retry_after_ms: wait }),
    ...(error.errors ? { errors: error.errors } : {}),
  };
}

/** What a namespace's middleware refuses a handshake with: the client finds the negative acknowledgement in `data`. */
export function handshakeRefusal(problem: AppError): Error {
  return Object.assign(new Error(problem.message), { data: ackError(problem) });
}

/** The gateway of one namespace, whose client events `events` describes. */
export function createGateway<S extends AnySocket, E extends Events>(
  events: E,
  { log, metrics, limits, authorise }: GatewayDeps,
) {
  const handlers = new Map<string, { run: Handler<S, Events[string]>; options: EventOptions }>();
  // A limit may have to ask Redis: a later event of the same socket must not overtake one that waits for it.
  const inTurn = createKeyedQueue();

  const dispatch = async (socket: S, name: string, args: unknown[], reply: (answer: object) => void) => {
    const handler = handlers.get(name);
    const event = Object.hasOwn(events, name) ? events[name] : undefined;
    const { caller, address } = socket.data;
    if (caller.expiresAt <= Date.now()) throw new AppError('unauthenticated', 'The token has expired.');
    let isDropped = false;
    try {
      await inTurn(socket.id, async () => {
        await limits.take(handler?.options.limit ?? 'read', caller.id);
        await limits.take('event_address', address);
      });
    } catch (refusal) {
      if (!handler?.options.dropOverLimit) throw refusal;
      isDropped = true;
    }
    if (!handler || !event) throw new AppError('invalid', 'There is no such event.');
    if (args.length > 1) throw new AppError('invalid', 'An event takes one object and an acknowledgement.');
    const payload = parse(event.payload, args.length === 0 ? {} : args[0], 'payload');
    if (!isDropped) await authorise(caller, name, payload as object);
    let answered = false;
    const answer = (data: unknown) => {
      if (answered) return;
      answered = true;
      reply({ ok: true, data });
    };
    answer((await handler.run({ socket, caller, payload, isDropped, answer })) ?? {});
  };

  const receive = async (socket: S, packet: unknown[]) => {
    if (socket.data.leaving) return; // the client learns it from the closing transport, and repeats
    if (socket.disconnected) return; // what came in one piece with a goodbye, or after a disconnect of ours
    socket.data.unanswered = (socket.data.unanswered ?? 0) + 1;
    socket.data.heardAt = Date.now();
    try {
      await serve(socket, packet);
    } finally {
      socket.data.unanswered -= 1;
    }
  };

  const serve = async (socket: S, packet: unknown[]) => {
    const [event, ...rest] = packet;
    const name = String(event);
    const ack = typeof rest.at(-1) === 'function' ? (rest.pop() as (answer: object) => void) : undefined;
    const known = handlers.has(name) ? name : 'unknown';
    try {
      await dispatch(socket, name, rest, (answer) => ack?.(answer));
      metrics.events.inc({ event: known, outcome: 'ok' });
    } catch (error) {
      const problem = toAppError(error);
      metrics.events.inc({ event: known, outcome: problem.code });
      if (ERRORS[problem.code].status >= 500) {
        const detail = { err: problem.cause ?? problem, code: problem.code };
        log.error(
          { ...detail, event: known, socket_id: socket.id, user_id: socket.data.caller.id },
          'event failed',
        );
      }
      ack?.({ ok: false, error: ackError(problem) });
    }
  };

  return {
    /** Names the handler of an event; `limit` is the allowance that it draws on. */
    on<Name extends keyof E & string>(name: Name, options: EventOptions, run: Handler<S, E[Name]>): void {
      handlers.set(name, { run: run as unknown as Handler<S, Events[string]>, options });
    },
    /** The events that have a handler. */
    names: () => [...handlers.keys()],
    /** Routes everything that `socket` sends through this gateway. */
    attach(socket: S): void {
      // Never calling next() keeps packets from Socket.IO's own emitter.
      socket.use((packet) => void receive(socket, packet as unknown[]));
    },
  };
}
