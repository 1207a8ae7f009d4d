/** Agents Core over HTTP: one attempt, answered by JSON or by an event stream. */
import { errors, request, type Agent, type Dispatcher } from 'undici';
import { z } from 'zod';
import { AgentsCoreError, type AgentReply, type Attempt } from './agents-core.ts';
import {
  Answer,
  ANSWER_MAX_BYTES,
  parseAs,
  replyOf,
  storable,
  TokensUsed,
  tooLarge,
  toReply,
} from './answer.ts';
import { eventData } from './event-stream.ts';

const StreamEvent = z.object({
  delta: z.string().nullish(),
  done: z.boolean().nullish(),
  tokens_used: TokensUsed,
});

/**
 * An Attempt that POSTs to `{url}/agents/{agent_id}/invoke` through `dispatcher`, which holds the connect timeout.
 * 429, 5xx and network trouble fail with `unavailable` and may be retried, as may a stream that breaks off
 * (`bad_answer`); any other 4xx is `refused`; redirects are not followed, they are a `bad_answer` too.
 */
export function createHttpAttempt(url: string, dispatcher: Agent): Attempt {
  const base = url.replace(/\/+$/, '');

  return async function attempt(call, { signal, onDelta }) {
    const response = await request(`${base}/agents/${encodeURIComponent(call.agent_id)}/invoke`, {
      dispatcher,
      signal,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'text/event-stream, application/json',
        'idempotency-key': call.invocation_id,
      },
      body: JSON.stringify({
        input: call.input,
        context: { user_id: call.user_id, kind: 'secondme', messages: call.messages },
      }),
      // The one deadline is the caller's signal.
      headersTimeout: 0,
      bodyTimeout: 0,
    }).catch((error: unknown) => {
      throw transportError(error);
    });
    if (response.statusCode < 200 || response.statusCode > 299) {
      void response.body.dump().catch(() => {});
      throw statusError(response.statusCode, response.headers);
    }
    const text = boundedText(response.body);
    const type = String(response.headers['content-type']);
    return /^text\/event-stream\b/i.test(type) ? readStream(text, onDelta) : readJson(text);
  };
}

/** `body` as text, in pieces that never cut a character; over 256 KB the connection is dropped. */
async function* boundedText(body: Dispatcher.ResponseData['body']): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      size += chunk.length;
      if (size > ANSWER_MAX_BYTES) throw tooLarge();
      yield decoder.decode(chunk, { stream: true });
    }
  } catch (error) {
    throw transportError(error);
  }
  yield decoder.decode();
}

async function readJson(pieces: AsyncIterable<string>): Promise<AgentReply> {
  let text = '';
  for await (const piece of pieces) text += piece;
  return replyOf(parseAs(Answer, text));
}

async function readStream(
  pieces: AsyncIterable<string>,
  onDelta: (text: string) => void,
): Promise<AgentReply> {
  let reply = '';
  // The first half of a surrogate pair, until the next delta brings the second.
  let half = '';
  const add = (text: string) => {
    const clean = storable(text);
    reply += clean;
    if (clean !== '') onDelta(clean);
  };
  for await (const data of eventData(pieces)) {
    const { delta, done, tokens_used } = parseAs(StreamEvent, data);
    const text = half + (delta ?? '');
    half = done ? '' : (/[\ud800-\udbff]$/.exec(text)?.[0] ?? '');
    add(text.slice(0, text.length - half.length));
    if (done) return toReply(reply, tokens_used);
  }
  throw new AgentsCoreError('bad_answer', 'the stream ended before it was done', { retryAfterMs: 0 });
}

/** What undici and the socket throw: no connection, a broken one, or bytes that are not HTTP. */
function transportError(cause: unknown): AgentsCoreError {
  if (cause instanceof AgentsCoreError) return cause;
  if (cause instanceof errors.HTTPParserError || cause instanceof errors.HeadersOverflowError) {
    return new AgentsCoreError('bad_answer', 'the answer is not HTTP', { cause });
  }
  if (cause instanceof errors.ClientDestroyedError || cause instanceof errors.ClientClosedError) {
    return new AgentsCoreError('cancelled', 'the connections are closed', { cause });
  }
  return new AgentsCoreError('unavailable', 'no connection to Agents Core', { cause, retryAfterMs: 0 });
}

function statusError(status: number, headers: Dispatcher.ResponseData['headers']): AgentsCoreError {
  const message = `Agents Core answered ${status}`;
  if (status === 429 || status >= 500) {
    return new AgentsCoreError('unavailable', message, { retryAfterMs: parseRetryAfter(headers) });
  }
  return new AgentsCoreError(status >= 400 ? 'refused' : 'bad_answer', message);
}

/** Milliseconds that a Retry-After header asks for, in seconds or as a date; 0 when there is none. */
function parseRetryAfter(headers: Dispatcher.ResponseData['headers']): number {
  const value = String(headers['retry-after'] ?? '');
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? ms : 0;
}
