/** Agents Core over NATS: one attempt is a request on `agents.invoke`, answered to its inbox or on `agents.reply`. */
import { connect, createInbox } from 'nats';
import type { ConnectionOptions, Msg, NatsConnection } from 'nats';
import { EventEmitter, once } from 'node:events';
import type { Logger } from 'pino';
import { z } from 'zod';
import { AgentsCoreError, type AgentCall, type AgentReply, type Attempt } from './agents-core.ts';
import { Answer, ANSWER_MAX_BYTES, parseAs, replyOf, tooLarge } from './answer.ts';

interface NatsOptions {
  /** A comma list of the servers of one cluster, `nats://` or `tls://`; the first has the credentials for all. */
  url: string;
  connectTimeoutMs: number;
  log?: Pick<Logger, 'warn'> | undefined;
}

const REQUESTS = 'agents.invoke';
const REPLIES = 'agents.reply';
/** A server that went without a word is noticed after two pings without an answer. */
const PING_MS = 4_000;
const NO_RESPONDERS = 503;

/** In an envelope like that of the request, or without one. */
const unwrapped = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => {
    const { payload } = (value ?? {}) as { payload?: unknown };
    return typeof payload === 'object' ? { ...(value as object), ...payload } : value;
  }, schema);
const Told = unwrapped(Answer);
const Named = unwrapped(z.object({ invocation_id: z.string() }));
/** JetStream says so where a stream takes the requests in; the reply is yet to come. */
const Stored = z.strictObject({
  stream: z.string(),
  seq: z.number(),
  domain: z.string().optional(),
  duplicate: z.boolean().optional(),
});

/** A connection, with the answers that come over it as events; `error` once it is lost. */
interface Link {
  connection: NatsConnection;
  /** A request's inbox is this with the invocation's id behind it. */
  inbox: string;
  answers: EventEmitter;
}

/** The event of an answer. It carries a function that gives the reply or throws why there is none. */
const answerTo = (invocationId: string) => `answer:${invocationId}`;

/**
 * An Attempt over NATS, and what closes its connection. The first attempt makes the connection, and the first after a
 * loss a new one; whoever waits for an answer at a loss fails with `unavailable` and may be retried, as does who finds
 * nobody listening. The oldest messages of a conversation that is larger than the server takes are left out.
 */
export function createNatsAttempt({ url, connectTimeoutMs, log }: NatsOptions) {
  const options: ConnectionOptions = {
    ...serversOf(url),
    name: 'daarion-city',
    timeout: connectTimeoutMs,
    reconnect: false,
    pingInterval: PING_MS,
    maxPingOut: 2,
  };
  let link: Promise<Link> | undefined;
  let closed = false;

  const open = (): Promise<Link> => {
    const opened = connect(options).then((connection) => listen(connection, log));
    const forget = () => {
      if (link === opened) link = undefined;
    };
    opened.then(({ connection }) => connection.closed()).then(forget, forget);
    return opened;
  };

  const attempt: Attempt = async (call, { signal }) => {
    if (closed) throw new AgentsCoreError('cancelled', 'the connection is closed');
    link ??= open();
    const { connection, inbox, answers } = await link.catch((cause: unknown) => {
      throw unavailable('no connection to NATS', cause);
    });
    signal.throwIfAborted();
    send(connection, call, `${inbox}.${call.invocation_id}`);
    const [read] = (await once(answers, answerTo(call.invocation_id), { signal })) as [() => AgentReply];
    return read();
  };

  return {
    attempt,
    async close(): Promise<void> {
      closed = true;
      const last = await link?.catch(() => undefined);
      await last?.connection.close();
    },
  };
}

/** nats.js reads no credentials out of addresses. */
function serversOf(list: string): ConnectionOptions {
  const servers = list.split(',').map((address) => new URL(address.trim()));
  const { username, password } = servers[0]!;
  const [user, pass] = [username, password].map(decodeURIComponent) as [string, string];
  return {
    servers: servers.map(({ host }) => host),
    ...(pass ? { user, pass } : user ? { token: user } : {}),
    ...(servers.some(({ protocol }) => protocol === 'tls:') ? { tls: {} } : {}),
  };
}

function listen(connection: NatsConnection, log: NatsOptions['log']): Link {
  const inbox = createInbox();
  const answers = new EventEmitter().setMaxListeners(0);
  answers.on('error', () => {}); // nobody may be waiting
  const hear = (subject: string, take: (message: Msg) => void) => {
    connection.subscribe(subject, {
      callback(error, message) {
        if (error) log?.warn({ err: error, subject }, 'agents core: no answers from NATS');
        else take(message);
      },
    });
  };
  hear(`${inbox}.*`, (message) => {
    const answer = answerTo(message.subject.slice(inbox.length + 1));
    if (message.headers?.code === NO_RESPONDERS) {
      answers.emit(answer, () => {
        throw unavailable(`nobody listens on ${REQUESTS}`);
      });
    } else if (!Stored.safeParse(jsonOf(message)).success) {
      answers.emit(answer, () => read(message));
    }
  });
  hear(REPLIES, (message) => {
    const { data } = Named.safeParse(jsonOf(message));
    if (data) answers.emit(answerTo(data.invocation_id), () => read(message));
  });
  connection.closed().then(
    (why) => answers.emit('error', unavailable('the connection to NATS was lost', why)),
    () => {}, // never: what closed it is what it resolves with
  );
  return { connection, inbox, answers };
}

function jsonOf(message: Msg): unknown {
  try {
    return message.json();
  } catch {
    return undefined;
  }
}

function read(message: Msg): AgentReply {
  if (message.data.length > ANSWER_MAX_BYTES) throw tooLarge();
  return replyOf(parseAs(Told, message.string()));
}

function send(connection: NatsConnection, call: AgentCall, reply: string): void {
  const { invocation_id, agent_id, input, user_id } = call;
  const most = connection.info?.max_payload ?? Infinity;
  const encode = (messages: AgentCall['messages']): Buffer => {
    const payload = { invocation_id, input, user_id, source: 'secondme', messages };
    const data = Buffer.from(JSON.stringify({ event: REQUESTS, agent_id, payload }));
    return data.length > most && messages.length > 0 ? encode(messages.slice(1)) : data;
  };
  const data = encode(call.messages);
  if (data.length > most) throw new AgentsCoreError('refused', `a request is over the ${most} bytes of NATS`);
  try {
    connection.publish(REQUESTS, data, { reply });
  } catch (cause) {
    throw unavailable('the request cannot be sent', cause);
  }
}

const unavailable = (message: string, cause?: unknown) =>
  new AgentsCoreError('unavailable', message, { cause, retryAfterMs: 0 });
