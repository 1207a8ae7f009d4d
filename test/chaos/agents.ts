/** A fake Agents Core that misbehaves on demand, holds calls until they are released, and counts what it was asked. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What becomes of a call: `ok` answers JSON, `stream` an event stream; `hang` holds it until `release`; `slow` sends a
 * byte a second; `huge` a body without end, up to 16 MB/s; `garbage` 200 and bytes that are no JSON; `error` 503;
 * `reset` cuts the connection with RST before a byte is answered.
 */
export type AgentsMode = 'ok' | 'stream' | 'hang' | 'slow' | 'huge' | 'garbage' | 'error' | 'reset';

export interface AgentCall {
  /** The Idempotency-Key: the invocation's id. */
  key: string;
  input: string;
  userId: string;
  /** The Host header: a caller behind a proxy of its own is known by the proxy's port. */
  host: string;
  /** When it arrived, on the clock of performance.now(). */
  at: number;
}

export interface FakeAgents {
  /** What AGENTS_SERVICE_URL is set to. */
  readonly url: string;
  /** How many calls came with this Idempotency-Key; without one, all of them. */
  calls(key?: string): number;
  /** Every call, in the order they came. */
  log(): readonly AgentCall[];
  /** From now on calls are treated so; a function decides for each call. */
  mode(mode: AgentsMode | ((call: AgentCall) => AgentsMode)): void;
  /** The calls that are held now; one whose caller hung up is not. */
  held(): AgentCall[];
  /** Answers the held calls, or the one with this key; resolves when the answers have left this process. */
  release(key?: string): Promise<void>;
  /** Cuts the calls under way and closes the port. */
  stop(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1, in the mode `ok`. Every answer to a key is `Echo: <input>`. */
export async function startFakeAgents(): Promise<FakeAgents> {
  const log: AgentCall[] = [];
  const counts = new Map<string, number>();
  const held = new Map<ServerResponse, AgentCall>();
  let modeOf: (call: AgentCall) => AgentsMode = () => 'ok';

  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    const { input, context } = JSON.parse(await textOf(request)) as {
      input: string;
      context: { user_id: string };
    };
    const key = String(request.headers['idempotency-key']);
    const host = String(request.headers.host);
    const call = { key, input, userId: context.user_id, host, at: performance.now() };
    log.push(call);
    counts.set(key, (counts.get(key) ?? 0) + 1);
    const mode = modeOf(call);
    if (mode === 'hang') {
      held.set(response, call);
      response.on('close', () => held.delete(response));
    } else {
      BEHAVIOURS[mode](response, call);
    }
  };

  const server = createServer((request, response) => {
    // A caller that was killed in mid-call leaves half a request and a broken connection.
    response.on('error', () => {});
    receive(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: (key) => (key === undefined ? log.length : (counts.get(key) ?? 0)),
    log: () => log,
    mode: (mode) => void (modeOf = typeof mode === 'function' ? mode : () => mode),
    held: () => [...held.values()],
    async release(key) {
      const chosen = [...held].filter(([, call]) => key === undefined || call.key === key);
      await Promise.all(
        chosen.map(async ([response, call]) => {
          held.delete(response);
          const over = once(response, 'close');
          BEHAVIOURS.ok(response, call);
          await over;
        }),
      );
    },
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

const BEHAVIOURS: Record<Exclude<AgentsMode, 'hang'>, (response: ServerResponse, call: AgentCall) => void> = {
  ok(response, { input }) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ reply: `Echo: ${input}`, tokens_used: 7 }));
  },
  stream(response, { input }) {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const events = [{ delta: 'Echo: ' }, { delta: input }, { done: true, tokens_used: 7 }];
    for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`);
    response.end();
  },
  slow(response, { input }) {
    response.writeHead(200, { 'content-type': 'application/json' });
    const bytes = Buffer.from(JSON.stringify({ reply: `Echo: ${input}` }));
    let sent = 0;
    const timer = setInterval(() => {
      if (sent < bytes.length) response.write(bytes.subarray(sent, ++sent));
      else response.end();
    }, 1_000);
    response.on('close', () => clearInterval(timer));
  },
  huge(response) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"reply":"');
    const piece = Buffer.alloc(16 * 1024, 'a');
    // Paced like a network: at the speed of loopback it would slow down the observer, which is in the same process.
    const timer = setInterval(() => void (response.writableNeedDrain || response.write(piece)), 1);
    response.on('close', () => clearInterval(timer));
  },
  garbage(response) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(Buffer.from([0xff, 0xfe, 0x00, 0x7b, 0x22, 0xc3, 0x28, 0x0a]));
  },
  error(response) {
    response.writeHead(503, { 'content-type': 'text/plain' });
    response.end('the agents are away');
  },
  reset(response) {
    response.socket?.resetAndDestroy();
  },
};

async function textOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}
