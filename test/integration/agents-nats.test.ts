/** Agents Core over NATS, against a real server of it. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { Msg, NatsConnection } from 'nats';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentsCoreError, type AgentCall, type AgentsCore } from '../../src/agents-core/agents-core.ts';
import { createAgentsCore } from '../../src/agents-core/create-agents-core.ts';
import { startCity } from '../support/city.ts';
import { startNats } from '../support/nats.ts';
import type { Nats } from '../support/nats.ts';
import { until } from '../support/until.ts';

const CALL: AgentCall = {
  invocation_id: 'sminv_01JD0000000000000000000000',
  agent_id: 'ag_secondme_global',
  input: 'Привіт',
  user_id: 'u_alice',
  messages: [{ role: 'user', content: 'hello' }],
};

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

let nats: Nats;
beforeAll(async () => {
  nats = await startNats();
});
afterAll(() => nats.stop());

function client(url = nats.url, options: Partial<Parameters<typeof createAgentsCore>[0]> = {}): AgentsCore {
  const short = { totalTimeoutMs: 5_000, backoffMs: 2, breakerFailures: 1_000 };
  const core = createAgentsCore({ transport: 'nats', ...short, ...options, url });
  cleanups.push(() => core.close());
  return core;
}

/** An agent on `server` that does `answer` with each request; resolves with the bodies that came. */
async function listen(answer: (message: Msg, connection: NatsConnection) => unknown, server = nats) {
  const connection = await server.connect();
  cleanups.push(() => connection.close());
  const requests: unknown[] = [];
  connection.subscribe('agents.invoke', {
    callback(_error, message) {
      requests.push(message.json());
      answer(message, connection);
    },
  });
  await connection.flush();
  return requests;
}

const json = (body: unknown) => JSON.stringify(body);
const ask = (core: AgentsCore, call = CALL, signal = new AbortController().signal) =>
  core.invoke(call, { signal });
/** What was answered, or the reason why nothing was. */
const outcome = (core: AgentsCore, signal?: AbortSignal) =>
  ask(core, CALL, signal).then(
    ({ reply }) => reply,
    (error: unknown) => {
      if (error instanceof AgentsCoreError) return error.reason;
      throw error;
    },
  );

describe('a request', () => {
  it('has the agreed form and is answered to its inbox', async () => {
    const requests = await listen((message) => message.respond(json({ reply: 'Вітаю', tokens_used: 7 })));
    expect(await ask(client())).toEqual({ reply: 'Вітаю', tokens_used: 7 });
    const { invocation_id, input, user_id, messages } = CALL;
    expect(requests).toEqual([
      {
        event: 'agents.invoke',
        agent_id: CALL.agent_id,
        payload: { input, user_id, source: 'secondme', invocation_id, messages },
      },
    ]);
  });

  it.each([
    { invocation_id: CALL.invocation_id, response: 'here', tokens_used: 3 },
    { event: 'agents.reply', payload: { invocation_id: CALL.invocation_id, reply: 'here', tokens_used: 3 } },
    { invocation_id: CALL.invocation_id, payload: { reply: 'here', tokens_used: 3 } },
  ])('is answered on agents.reply by %j, and by nobody else there', async (mine) => {
    await listen((_message, connection) => {
      connection.publish('agents.reply', 'not json');
      connection.publish('agents.reply', json({ invocation_id: 'error', reply: 'not this' }));
      connection.publish(
        'agents.reply',
        json({ invocation_id: `${CALL.invocation_id}0`, reply: 'nor this' }),
      );
      connection.publish('agents.reply', json(mine));
    });
    expect(await ask(client())).toEqual({ reply: 'here', tokens_used: 3 });
  });

  it('that a stream of JetStream took in is answered by the agent, not by the stream', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'city-nats-'));
    cleanups.push(() => rm(folder, { recursive: true, force: true }));
    const server = await startNats(['-js', '-sd', folder]);
    cleanups.push(() => server.stop());
    const admin = await server.connect();
    const manager = await admin.jetstreamManager();
    await manager.streams.add({ name: 'AGENTS', subjects: ['agents.invoke'] });
    await listen((message, connection) => {
      // Only once the stream has said that it stored the request.
      connection.subscribe('ready', {
        callback: () => connection.publish('agents.reply', json({ ...CALL, reply: 'from the agent' })),
      });
      void until(async () => (await manager.streams.info('AGENTS')).state.messages > 0, 'the stream').then(
        () => connection.publish('ready'),
      );
      expect(message.reply).toBeDefined();
    }, server);
    expect(await outcome(client(server.url))).toBe('from the agent');
  });

  it('leaves out the oldest messages where the server takes no more', async () => {
    const requests = await listen((message) => message.respond(json({ reply: 'long' })));
    const messages = Array.from({ length: 10 }, (_, n) => ({
      role: 'user',
      content: `${n}`.repeat(200_000),
    }));
    expect(await ask(client(), { ...CALL, messages })).toMatchObject({ reply: 'long' });
    const [{ payload }] = requests as [{ payload: { messages: typeof messages } }];
    expect(payload.messages).toEqual(messages.slice(-5));
  });

  it('that is cancelled while there is no answer is over', async () => {
    const abort = new AbortController();
    await listen(() => abort.abort());
    expect(await outcome(client(), abort.signal)).toBe('cancelled');
  });
});

describe('an answer', () => {
  it.each([
    ['no JSON', 'nonsense', 'bad_answer'],
    ['a list', '[]', 'bad_answer'],
    ['null', 'null', 'bad_answer'],
    ['empty', '', 'bad_answer'],
    ['a blank reply', json({ reply: ' ' }), 'bad_answer'],
    ['a number for a reply', json({ reply: 5 }), 'bad_answer'],
    ['over 256 KB', json({ reply: 'x'.repeat(256 * 1024) }), 'too_large'],
  ])('that is %s is not asked for again', async (_what, body, reason) => {
    const requests = await listen((message) => message.respond(body));
    expect(await outcome(client())).toBe(reason);
    expect(requests).toHaveLength(1);
  });

  it('that does not come is waited for until the time is up, and not asked for again', async () => {
    const requests = await listen(() => {});
    expect(await outcome(client(nats.url, { totalTimeoutMs: 300 }))).toBe('timeout');
    expect(requests).toHaveLength(1);
  });
});

describe('without somebody to answer', () => {
  it('a call is tried again until somebody listens', async () => {
    expect(await outcome(client(nats.url, { retries: 1 }))).toBe('unavailable');
    const core = client(nats.url, { retries: 100 });
    const answer = outcome(core);
    await listen((message) => message.respond(json({ reply: 'late' })));
    expect(await answer).toBe('late');
  });

  it('calls fail while there is no server, and go on with the one that comes', async () => {
    const first = await startNats();
    await first.stop();
    const core = client(first.url);
    expect(await outcome(core)).toBe('unavailable');
    const second = await startNats([], { port: first.port });
    cleanups.push(() => second.stop());
    await listen((message) => message.respond(json({ reply: 'back' })), second);
    expect(await outcome(core)).toBe('back');
  });

  it('a call whose server goes is asked again of the next one', async () => {
    const first = await startNats();
    const core = client(first.url, { retries: 1_000 });
    let asked!: () => void;
    const underWay = new Promise<void>((resolve) => (asked = resolve));
    await listen(() => asked(), first);
    const answer = outcome(core);
    await underWay;
    await first.stop();
    const second = await startNats([], { port: first.port });
    cleanups.push(() => second.stop());
    await listen((message) => message.respond(json({ reply: 'again' })), second);
    expect(await answer).toBe('again');
  });

  it('a call in flight when the port is closed is cancelled, and so is one after it', async () => {
    const core = client();
    let asked!: () => void;
    const underWay = new Promise<void>((resolve) => (asked = resolve));
    await listen(() => asked());
    const answer = outcome(core);
    await underWay;
    await core.close();
    expect(await answer).toBe('cancelled');
    expect(await outcome(core)).toBe('cancelled');
  });
});

describe('credentials in the address', () => {
  it.each([
    ['a token', ['--auth', 's3cret/1'], 's3cret%2F1', { token: 's3cret/1' }],
    ['a password', ['--user', 'city', '--pass', 'p@ss'], 'city:p%40ss', { user: 'city', pass: 'p@ss' }],
  ])('%s is given', async (_what, args, given, credentials) => {
    const server = await startNats(args, credentials);
    cleanups.push(() => server.stop());
    await listen((message) => message.respond(json({ reply: 'known' })), server);
    expect(await outcome(client(server.url.replace('//', `//${given}@`)))).toBe('known');
    expect(await outcome(client(server.url))).toBe('unavailable');
  });
});

it('a city asks over NATS when it is told to', async () => {
  const requests = await listen((message) =>
    message.respond(json({ reply: 'Hello over NATS', tokens_used: 4 })),
  );
  const city = await startCity({ env: { AGENTS_TRANSPORT: 'nats', NATS_URL: nats.url } });
  cleanups.push(() => city.stop());
  const rest = await city.rest('u_alice');
  const { status, body } = await rest('POST', '/secondme/invoke', { prompt: 'Hi' });
  expect({ status, body }).toMatchObject({
    status: 200,
    body: { reply: 'Hello over NATS', tokens_used: 4, fallback: false },
  });
  expect(requests).toMatchObject([{ payload: { input: 'Hi', user_id: 'u_alice', messages: [] } }]);
});
