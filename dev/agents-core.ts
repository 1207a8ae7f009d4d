/** The stand-in Agents Core: a real HTTP server that answers Second Me without a language model. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { composeReply } from './agents-reply.ts';

export interface AgentsCoreOptions {
  /** A free one when absent. */
  port?: number;
  /** Pause before each streamed word, milliseconds; 25 when absent. */
  delayMs?: number;
}

export interface AgentsCore {
  /** What AGENTS_SERVICE_URL is set to. */
  url: string;
  /** What was asked since the start: all valid calls, and how often each Idempotency-Key came. */
  requests: { readonly calls: number; readonly keys: ReadonlyMap<string, number> };
  /** Cuts the calls in flight and closes the port. */
  stop(): Promise<void>;
}

const PATH = /^\/agents\/[A-Za-z0-9_-]{1,80}\/invoke$/;
const BODY_MAX_BYTES = 512 * 1024;
const KEPT_ANSWERS = 10_000;

const Invocation = z.object({
  input: z.string().regex(/\S/, 'must not be blank').max(20_000),
  context: z
    .object({
      user_id: z.string().optional(),
      kind: z.string().optional(),
      messages: z.array(z.object({ role: z.string(), content: z.string() })).default([]),
    })
    .default({ messages: [] }),
});

interface Answer {
  reply: string;
  tokens_used: number;
}

class BadRequest extends Error {}

/**
 * Starts it on 127.0.0.1. `POST /agents/:id/invoke` answers `{ reply, tokens_used }`, or the same as an event stream,
 * word by word, when Accept names `text/event-stream`. A repeated Idempotency-Key gets the first answer again.
 */
export async function startAgentsCore({
  port = 0,
  delayMs = 25,
}: AgentsCoreOptions = {}): Promise<AgentsCore> {
  const answers = new Map<string, Answer>();
  const keys = new Map<string, number>();
  let calls = 0;

  function answerTo(key: string | undefined, { input, context }: z.infer<typeof Invocation>): Answer {
    calls += 1;
    const known = key === undefined ? undefined : answers.get(key);
    const reply = known?.reply ?? composeReply(input, context.messages);
    const answer = known ?? { reply, tokens_used: countTokens(input) + countTokens(reply) };
    if (key !== undefined) {
      keys.set(key, (keys.get(key) ?? 0) + 1);
      answers.set(key, answer);
      if (answers.size > KEPT_ANSWERS) forgetOldest(answers, keys);
    }
    return answer;
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://agents-core');
    if (request.method !== 'POST' || !PATH.test(pathname)) {
      return sendJson(response, 404, {
        error: 'not_found',
        message: 'POST /agents/:id/invoke is all there is',
      });
    }
    const invocation = parse(await readBody(request));
    const answer = answerTo(request.headers['idempotency-key']?.toString(), invocation);
    if (request.headers.accept?.includes('text/event-stream')) return stream(response, answer, delayMs);
    sendJson(response, 200, answer);
  }

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (response.headersSent) return response.destroy();
      const bad = error instanceof BadRequest;
      sendJson(response, bad ? 400 : 500, {
        error: bad ? 'invalid' : 'internal',
        message: (error as Error).message,
      });
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : port}`,
    requests: {
      get calls() {
        return calls;
      },
      keys,
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_MAX_BYTES) throw new BadRequest(`the body is over ${BODY_MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(body: string): z.infer<typeof Invocation> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new BadRequest('the body is not JSON');
  }
  const parsed = Invocation.safeParse(value);
  if (!parsed.success) throw new BadRequest(z.prettifyError(parsed.error));
  return parsed.data;
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}

/** One event for each word, then the one that ends the stream; stops when the caller hangs up. */
async function stream(
  response: ServerResponse,
  { reply, tokens_used }: Answer,
  delayMs: number,
): Promise<void> {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache',
  });
  const send = (event: unknown) => response.write(`data: ${JSON.stringify(event)}\n\n`);
  for (const delta of reply.match(/\s*\S+/g) ?? []) {
    if (delayMs > 0) await sleep(delayMs);
    if (response.destroyed) return;
    send({ delta });
  }
  send({ done: true, tokens_used });
  response.end();
}

/** A rough figure, as good as any without a model: four characters make a token. */
const countTokens = (text: string) => Math.ceil(text.length / 4);

/** A Map keeps the order of insertion, so that its first key is the oldest. */
function forgetOldest(...maps: Map<string, unknown>[]): void {
  for (const map of maps) {
    for (const oldest of map.keys()) {
      map.delete(oldest);
      break;
    }
  }
}
