/** Agents Core over HTTP against real servers that behave, misbehave and break. */
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { EventEmitter, once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { AgentsCoreError, type AgentsCore } from '../../src/agents-core/agents-core.ts';
import { createAgentsCore } from '../../src/agents-core/create-agents-core.ts';
import { eventData } from '../../src/agents-core/event-stream.ts';
import { DEFAULT_RESILIENCE, withResilience } from '../../src/agents-core/resilience.ts';
import { until } from '../support/until.ts';

type Handler = (req: IncomingMessage, res: ServerResponse, nth: number) => unknown;
type Options = Omit<Parameters<typeof createAgentsCore>[0], 'url'>;

const CALL = {
  invocation_id: 'sminv_01JD0000000000000000000000',
  agent_id: 'ag_secondme_global',
  input: 'Привіт',
  user_id: 'u_alice',
  messages: [{ role: 'user', content: 'hello' }],
};
const MB = 1024 * 1024;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Listens on a free port of 127.0.0.1 until the end of the test. */
async function listen(server: Server, sockets = new Set<Socket>()) {
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A client with short timings; `options` override them. */
function client(url: string | undefined, options: Options = {}): AgentsCore {
  const short = { totalTimeoutMs: 5_000, backoffMs: 2, breakerFailures: 1_000, breakerOpenMs: 250 };
  const core = createAgentsCore({ url, ...short, ...options });
  cleanups.push(() => core.close());
  return core;
}

/** A core whose requests `handler` answers; `nth` counts them from 1. */
async function serve(handler: Handler, options: Options = {}) {
  const seen = { requests: 0 };
  const server = http.createServer((req, res) => void handler(req, res, ++seen.requests));
  const url = `http://${await listen(server)}`;
  return { core: client(url, options), seen, url };
}

const json = (res: ServerResponse, body: unknown, status = 200, headers = {}) =>
  res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));

function stream(res: ServerResponse, ...events: unknown[]) {
  res.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  for (const event of events) res.write(`data: ${JSON.stringify(event)}\n\n`);
  return res;
}

/** Invokes and records what the caller was told, in order; a failure is returned, not thrown. */
async function ask(core: AgentsCore, signal: AbortSignal = new AbortController().signal) {
  const told: string[] = [];
  const started = performance.now();
  const answer = await core
    .invoke(CALL, { signal, onDelta: (text) => told.push(text), onRestart: () => told.push('<restart>') })
    .catch((error: unknown) => {
      if (error instanceof AgentsCoreError) return error;
      throw error;
    });
  return { answer, told, ms: performance.now() - started };
}

/** The reason why asking failed, or what was answered. */
async function outcome(core: AgentsCore, signal?: AbortSignal) {
  const { answer } = await ask(core, signal);
  return answer instanceof AgentsCoreError ? answer.reason : answer.reply;
}

describe('a JSON answer', () => {
  it('is asked for in the agreed form', async () => {
    const got: unknown[] = [];
    const { url } = await serve(async (req, res) => {
      let body = '';
      for await (const chunk of req) body += String(chunk);
      const { accept, 'idempotency-key': key, 'content-type': type } = req.headers;
      got.push({ line: `${req.method} ${req.url}`, accept, key, type, body: JSON.parse(body) });
      json(res, { reply: 'Вітаю', tokens_used: 7, model: 'x' });
    });
    const { answer } = await ask(client(`${url}/base/`));
    expect(answer).toEqual({ reply: 'Вітаю', tokens_used: 7 });
    expect(got).toEqual([
      {
        line: 'POST /base/agents/ag_secondme_global/invoke',
        accept: 'text/event-stream, application/json',
        key: CALL.invocation_id,
        type: 'application/json',
        body: {
          input: 'Привіт',
          context: { user_id: 'u_alice', kind: 'secondme', messages: [{ role: 'user', content: 'hello' }] },
        },
      },
    ]);
  });

  it.each([
    [{ response: 'yes' }, { reply: 'yes', tokens_used: null }],
    [
      { reply: null, response: 'yes', tokens_used: null },
      { reply: 'yes', tokens_used: null },
    ],
    [
      { reply: 'yes', tokens_used: 'many' },
      { reply: 'yes', tokens_used: null },
    ],
    [
      { reply: 'yes', tokens_used: 2 ** 31 },
      { reply: 'yes', tokens_used: null },
    ],
    [{ reply: 'a\0b\ud800c😀' }, { reply: 'ab\ufffdc😀', tokens_used: null }],
  ])('%j is understood', async (body, expected) => {
    const { core } = await serve((_req, res) => json(res, body));
    expect((await ask(core)).answer).toEqual(expected);
  });

  it.each([
    '',
    'Hello',
    '[]',
    'null',
    '{}',
    '{"reply":7}',
    '{"reply":" \\n\\u0000\\u200b"}',
    '{"reply":"cut',
  ])('%j is a bad answer, not retried', async (body) => {
    const { core, seen } = await serve((_req, res) => res.end(body));
    expect(await outcome(core)).toBe('bad_answer');
    expect(seen.requests).toBe(1);
  });
});

describe('a streamed answer', () => {
  const EVENTS = ['{"delta":"При"}', '{"delta":"віт 😀"}', '{"done":true,\n"tokens_used":3}'];
  const write = (eol: string, field: string) =>
    `\ufeff: hi${eol}${eol}event: x${eol}id: 1${eol}${eol}` +
    EVENTS.map((event) => event.replace(/^/gm, field).replaceAll('\n', eol) + eol + eol).join('');

  it.each([
    ['LF', '\n', 'data: '],
    ['CRLF', '\r\n', 'data: '],
    ['CR', '\r', 'data: '],
    ['no space', '\n', 'data:'],
  ])('is parsed with %s, byte by byte', async (_name, eol, field) => {
    const { core } = await serve(async (_req, res) => {
      res.writeHead(200, { 'content-type': 'Text/Event-Stream' });
      for (const byte of Buffer.from(write(eol, field))) {
        res.write(Buffer.of(byte));
        await turn();
      }
      res.end();
    });
    const { answer, told } = await ask(core);
    expect(answer).toEqual({ reply: 'Привіт 😀', tokens_used: 3 });
    expect(told).toEqual(['При', 'віт 😀']);
  });

  it('is parsed alike wherever it is cut', async () => {
    for (const eol of ['\n', '\r\n', '\r']) {
      const text = write(eol, 'data: ').slice(1);
      for (let at = 0; at <= text.length; at++) {
        const pieces = (async function* () {
          yield* [text.slice(0, at), text.slice(at)];
        })();
        const data: string[] = [];
        for await (const one of eventData(pieces)) data.push(one);
        expect(data).toEqual(EVENTS);
      }
    }
  });

  it('is over at done, though the connection stays open', async () => {
    let closed: Promise<unknown> | undefined;
    const { core } = await serve((_req, res) => {
      closed = once(res, 'close');
      stream(res, { delta: 'yes' }, { ping: 1 }, { done: true });
    });
    expect((await ask(core)).answer).toEqual({ reply: 'yes', tokens_used: null });
    await closed;
  });

  it('joins a surrogate pair cut between deltas, and keeps out what cannot be stored', async () => {
    const { core } = await serve((_req, res) =>
      stream(
        res,
        { delta: 'a\ud83d' },
        { delta: '\ude00\0' },
        { delta: '\0' },
        { delta: '\ud83d' },
        { done: true },
      ),
    );
    const { answer, told } = await ask(core);
    expect(answer).toMatchObject({ reply: 'a😀\ufffd' });
    expect(told).toEqual(['a', '😀', '\ufffd']);
  });

  it.each<[string, (res: ServerResponse) => unknown]>([
    ['ends without done', (res) => res.end()],
    ['is reset', (res) => setImmediate(() => res.socket?.resetAndDestroy())],
  ])('that %s is asked for again, and the caller told', async (_name, breakOff) => {
    const { core } = await serve((_req, res, nth) => {
      if (nth === 1) return breakOff(stream(res, { delta: 'half' }));
      return stream(res, { delta: 'whole' }, { done: true }).end();
    });
    const { answer, told } = await ask(core);
    expect(answer).toMatchObject({ reply: 'whole' });
    expect(told.at(-2)).toBe('<restart>');
    expect(told.at(-1)).toBe('whole');
  });

  it('that never gets to done is a bad answer', async () => {
    const { core, seen } = await serve((_req, res) => stream(res, { delta: 'half' }).end(), { retries: 1 });
    const { answer, told } = await ask(core);
    expect(answer).toMatchObject({ reason: 'bad_answer' });
    expect(told).toEqual(['half', '<restart>', 'half']);
    expect(seen.requests).toBe(2);
  });

  it.each(['[DONE]', '7', '{"delta":7}', '{"done":true}'])('with %j is a bad answer', async (data) => {
    const { core, seen } = await serve((_req, res) => stream(res).end(`data: ${data}\n\n`));
    expect(await outcome(core)).toBe('bad_answer');
    expect(seen.requests).toBe(1);
  });
});

describe('the bound of 256 KB', () => {
  it('holds for a whole JSON body', async () => {
    const frame = JSON.stringify({ reply: '' }).length;
    const { core } = await serve((_req, res, nth) =>
      json(res, { reply: 'x'.repeat(MB / 4 - frame + (nth === 1 ? 0 : 1)) }),
    );
    expect(await outcome(core)).toHaveLength(MB / 4 - frame);
    expect(await outcome(core)).toBe('too_large');
  });

  it('holds for a reply that grows by replacing broken bytes', async () => {
    const { core } = await serve((_req, res) =>
      res.end(Buffer.concat([Buffer.from('{"reply":"'), Buffer.alloc(MB / 8, 0xff), Buffer.from('"}')])),
    );
    expect(await outcome(core)).toBe('too_large');
  });

  it.each(['application/json', 'text/event-stream'])('cuts a 1 GB %s off early', async (type) => {
    let sent = 0;
    let closed: Promise<unknown> | undefined;
    const { core, seen } = await serve(async (_req, res) => {
      closed = once(res, 'close');
      res.writeHead(200, { 'content-type': type, 'content-length': 1024 * MB });
      while (!res.destroyed && sent < 1024 * MB) {
        sent += 64 * 1024;
        if (!res.write(Buffer.alloc(64 * 1024, 'x'))) await Promise.race([once(res, 'drain'), closed]);
      }
    });
    expect(await outcome(core)).toBe('too_large');
    await closed;
    expect(sent).toBeLessThan(32 * MB);
    expect(seen.requests).toBe(1);
  });
});

describe('what is tried again', () => {
  it.each([500, 502, 503, 429])('%i, until it is well', async (status) => {
    const { core, seen } = await serve((_req, res, nth) =>
      nth < 3 ? json(res, {}, status) : json(res, { reply: 'yes' }),
    );
    expect(await outcome(core)).toBe('yes');
    expect(seen.requests).toBe(3);
  });

  it('with the same key each time', async () => {
    const keys: unknown[] = [];
    const { core } = await serve((req, res, nth) => {
      keys.push(req.headers['idempotency-key']);
      return json(res, { reply: 'yes' }, nth === 1 ? 500 : 200);
    });
    await outcome(core);
    expect(keys).toEqual([CALL.invocation_id, CALL.invocation_id]);
  });

  it('a reset connection, as often as allowed', async () => {
    const { core, seen } = await serve((req) => req.socket.resetAndDestroy(), { retries: 2 });
    expect(await outcome(core)).toBe('unavailable');
    expect(seen.requests).toBe(3);
  });

  it('after the wait that Retry-After asks for', async () => {
    const { core } = await serve((_req, res, nth) =>
      nth === 1 ? json(res, {}, 429, { 'retry-after': '1' }) : json(res, { reply: 'yes' }),
    );
    const { answer, ms } = await ask(core);
    expect(answer).toMatchObject({ reply: 'yes' });
    expect(ms).toBeGreaterThan(990);
  });

  it('after any wait that fits into the time that is left', async () => {
    jest.useFakeTimers();
    cleanups.push(() => jest.useRealTimers());
    let asked = 0;
    const invoke = withResilience(async () => {
      asked += 1;
      if (asked === 1) throw new AgentsCoreError('unavailable', 'busy', { retryAfterMs: 20_000 });
      return { reply: 'yes', tokens_used: null };
    }, DEFAULT_RESILIENCE);
    const answer = invoke(CALL, { signal: new AbortController().signal }).catch((error: unknown) => error);
    await jest.advanceTimersByTimeAsync(30_000);
    expect(await answer).toMatchObject({ reply: 'yes' });
    expect(asked).toBe(2);
  });

  it.each(['6', '60', new Date(Date.now() + 60_000).toUTCString()])(
    'not at all when Retry-After is longer than the time that is left: %s',
    async (retryAfter) => {
      const { core, seen } = await serve((_req, res) => json(res, {}, 503, { 'retry-after': retryAfter }));
      const { answer } = await ask(core);
      expect(answer).toMatchObject({ reason: 'unavailable' });
      expect(seen.requests).toBe(1);
    },
  );

  it.each([400, 401, 404, 408, 422])('not a refusal with %i', async (status) => {
    const { core, seen } = await serve((_req, res) => json(res, { reply: 'no' }, status));
    expect(await outcome(core)).toBe('refused');
    expect(seen.requests).toBe(1);
  });

  it.each([301, 302, 307, 308])('not a redirect, nor is it followed: %i', async (status) => {
    const { core, seen } = await serve((_req, res) => json(res, { reply: 'no' }, status, { location: '/' }));
    expect(await outcome(core)).toBe('bad_answer');
    expect(seen.requests).toBe(1);
  });

  it('not what is no HTTP at all', async () => {
    let connections = 0;
    const server = net.createServer((socket) => {
      connections++;
      socket.on('data', () => socket.end('220 mail.example ESMTP\r\n'));
    });
    expect(await outcome(client(`http://${await listen(server)}`))).toBe('bad_answer');
    expect(connections).toBe(1);
  });
});

describe('an answer that does not come', () => {
  it.each<[string, Handler]>([
    ['a hang', () => {}],
    ['a hang inside the body', (_req, res) => res.write('{"reply":')],
    [
      'a slow drip',
      async (_req, res) => {
        stream(res);
        for (; !res.destroyed; await sleep(10)) res.write('data: {"delta":"."}\n\n');
      },
    ],
  ])('ends at the deadline and is not tried again: %s', async (_name, handler) => {
    const { core, seen } = await serve(handler, { totalTimeoutMs: 500 });
    const { answer, ms } = await ask(core);
    expect(answer).toMatchObject({ reason: 'timeout' });
    expect(ms).toBeGreaterThan(490);
    expect(ms).toBeLessThan(20_000);
    expect(seen.requests).toBe(1);
  });

  it('ends at one deadline over all attempts', async () => {
    const { core, seen } = await serve((_req, res) => void setTimeout(() => json(res, {}, 500), 60), {
      totalTimeoutMs: 1_000,
      retries: 1_000,
    });
    const { answer, ms } = await ask(core);
    expect(answer).toMatchObject({ reason: 'timeout' });
    expect(ms).toBeLessThan(20_000);
    expect(seen.requests).toBeGreaterThan(1);
  });

  it('is unavailable when the connection is not made in time', async () => {
    // A TLS handshake that is never answered counts as connecting.
    const silent = net.createServer(() => {});
    const core = client(`https://${await listen(silent)}`, { connectTimeoutMs: 100, retries: 0 });
    const { answer, ms } = await ask(core);
    expect(answer).toMatchObject({ reason: 'unavailable', cause: { code: 'UND_ERR_CONNECT_TIMEOUT' } });
    expect(ms).toBeLessThan(20_000);
  });

  it('is unavailable when nothing listens, or nothing is configured', async () => {
    const server = net.createServer();
    const url = `http://${await listen(server)}`;
    await new Promise((resolve) => server.close(resolve));
    expect(await outcome(client(url))).toBe('unavailable');
    expect(await outcome(client(undefined))).toBe('unavailable');
  });
});

describe('the circuit breaker', () => {
  /** A core that answers as `mode` says at the moment; 'hang' requests can be let go. */
  async function moody(options: Options = {}) {
    const mode = { answer: 500 as number | 'hang' };
    const held: ServerResponse[] = [];
    const { core, seen } = await serve(
      (_req, res) => (mode.answer === 'hang' ? held.push(res) : json(res, { reply: 'yes' }, mode.answer)),
      { breakerFailures: 5, retries: 0, ...options },
    );
    return { core, seen, mode, held };
  }
  const times = async (n: number, core: AgentsCore) => {
    const outcomes: string[] = [];
    for (let i = 0; i < n; i++) outcomes.push(await outcome(core));
    return outcomes;
  };

  it('opens after five failures, probes once, and closes when the probe succeeds', async () => {
    const { core, seen, mode, held } = await moody();
    expect(await times(6, core)).toEqual([...Array(5).fill('unavailable'), 'circuit_open']);
    expect(seen.requests).toBe(5);

    await sleep(260);
    mode.answer = 'hang';
    const probe = outcome(core);
    await until(() => held.length === 1, 'the request arrives');
    expect(await times(2, core)).toEqual(['circuit_open', 'circuit_open']);
    expect(seen.requests).toBe(6);

    for (const res of held) json(res, { reply: 'yes' });
    expect(await probe).toBe('yes');
    mode.answer = 200;
    expect(await times(3, core)).toEqual(['yes', 'yes', 'yes']);
  });

  it('opens again when the probe fails', async () => {
    const { core, seen } = await moody();
    await times(5, core);
    await sleep(260);
    expect(await times(3, core)).toEqual(['unavailable', 'circuit_open', 'circuit_open']);
    expect(seen.requests).toBe(6);
  });

  it('counts each attempt, and ends the call whose retry finds it open', async () => {
    const { core, seen } = await moody({ retries: 10 });
    expect(await outcome(core)).toBe('circuit_open');
    expect(seen.requests).toBe(5);
  });

  it('counts timeouts', async () => {
    const { core, mode, held } = await moody({ totalTimeoutMs: 50, breakerOpenMs: 60_000 });
    mode.answer = 'hang';
    const calls = Array.from({ length: 5 }, () => outcome(core));
    expect(await Promise.all(calls)).toEqual(Array(5).fill('timeout'));
    await until(() => held.every((res) => res.destroyed), 'the requests are dropped');
    expect(await outcome(core)).toBe('circuit_open');
  });

  it('counts timeouts of a transport that fails in its own way', async () => {
    const invoke = withResilience(
      async (_call, { signal }) => {
        await once(signal, 'abort');
        throw new Error('aborted');
      },
      { ...DEFAULT_RESILIENCE, totalTimeoutMs: 20, breakerFailures: 2 },
    );
    const core = { invoke, close: () => Promise.resolve() };
    expect(await times(3, core)).toEqual(['timeout', 'timeout', 'circuit_open']);
  });

  it('does not count a retry that comes after the deadline and is not made', async () => {
    const { core, seen, mode } = await moody({
      breakerFailures: 2,
      retries: 1,
      backoffMs: 2_000,
      totalTimeoutMs: 500,
    });
    expect(await outcome(core)).toBe('timeout');
    await sleep(2_000);
    mode.answer = 200;
    expect(await outcome(core)).toBe('yes');
    expect(seen.requests).toBe(2);
  });

  it('does not count refusals', async () => {
    const { core, mode } = await moody();
    mode.answer = 404;
    expect(await times(8, core)).toEqual(Array(8).fill('refused'));
  });

  it('does not count what the caller cancels', async () => {
    const { core, mode, held } = await moody();
    mode.answer = 'hang';
    const controller = new AbortController();
    const calls = Array.from({ length: 8 }, () => outcome(core, controller.signal));
    await until(() => held.length === 8, 'the request arrives');
    controller.abort();
    expect(await Promise.all(calls)).toEqual(Array(8).fill('cancelled'));
    await until(() => held.every((res) => res.destroyed), 'the requests are dropped');
    mode.answer = 200;
    // Both at once: neither is a probe.
    expect(await Promise.all([outcome(core), outcome(core)])).toEqual(['yes', 'yes']);
  });

  it('lets the next call probe when a probe is cancelled', async () => {
    const { core, seen, mode, held } = await moody();
    await times(5, core);
    await sleep(260);
    mode.answer = 'hang';
    const controller = new AbortController();
    const cancelled = outcome(core, controller.signal);
    await until(() => held.length === 1, 'the request arrives');
    controller.abort();
    expect(await cancelled).toBe('cancelled');
    await until(() => held[0]?.destroyed, 'the probe is dropped');

    const probe = ask(core);
    await until(() => held.length === 2, 'the request arrives');
    expect(await outcome(core)).toBe('circuit_open');
    expect(seen.requests).toBe(7);
    for (const res of held) json(res, { reply: 'yes' });
    expect((await probe).answer).toMatchObject({ reply: 'yes' });
  });
});

describe('cancelling', () => {
  it('ends a call in flight at once, closes its connection and stops the deltas', async () => {
    let closed: Promise<unknown> | undefined;
    const { core } = await serve((_req, res) => {
      closed = once(res, 'close');
      stream(res).write('data: {"delta":"."}\n\n'.repeat(3));
    });
    const controller = new AbortController();
    const told: string[] = [];
    let aborted = 0;
    const call = core.invoke(CALL, {
      signal: controller.signal,
      onDelta(text) {
        told.push(text);
        aborted ||= performance.now();
        controller.abort();
      },
    });
    await expect(call).rejects.toMatchObject({ name: 'AgentsCoreError', reason: 'cancelled' });
    expect(performance.now() - aborted).toBeLessThan(500);
    await closed;
    expect(told).toEqual(['.']);
  });

  it('ends the wait for a retry at once, and the retry is not made', async () => {
    const backoffMs = 4_000; // of which 50–100 % is waited
    const controller = new AbortController();
    const cancel = () => setTimeout(() => controller.abort(), 20);
    const { core, seen } = await serve((_req, res) => json(res.on('finish', cancel), {}, 500), { backoffMs });
    const { answer, ms } = await ask(core, controller.signal);
    expect(answer).toMatchObject({ reason: 'cancelled' });
    expect(ms).toBeLessThan(backoffMs / 2);
    await sleep(backoffMs);
    expect(seen.requests).toBe(1);
  });

  it('before the start sends nothing', async () => {
    const { core, seen } = await serve((_req, res) => json(res, { reply: 'yes' }));
    expect(await outcome(core, AbortSignal.abort())).toBe('cancelled');
    expect(seen.requests).toBe(0);
  });

  it('leaves no listener on the signal', async () => {
    const { core } = await serve((_req, res) => json(res, { reply: 'yes' }));
    const { signal } = new AbortController();
    await outcome(core, signal);
    expect(EventEmitter.getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('happens to a call in flight when the port is closed', async () => {
    const { core, seen } = await serve(() => void core.close());
    expect(await outcome(core)).toBe('cancelled');
    expect(seen.requests).toBe(1);
  });
});
