/** An Agents Core that answers at once with an event stream, and counts how often it was asked for each invocation. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const EVENTS = [{ delta: 'At ' }, { delta: 'once.' }, { done: true, tokens_used: 3 }];
const STREAM = EVENTS.map((event) => `data: ${JSON.stringify(event)}\n\n`);

export type AgentsLoad = ReturnType<typeof create>;

export function create() {
  const calls = new Map<string, number>();
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => {
      const key = request.headers['idempotency-key'];
      if (typeof key === 'string') calls.set(key, (calls.get(key) ?? 0) + 1);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const event of STREAM) response.write(event);
      response.end();
    });
  });
  server.keepAliveTimeout = 60_000;

  return {
    /** Its URL, once it listens. */
    async listen(): Promise<string> {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    },
    /** Invocations that it was asked for, and those of them more than once. */
    async counts(): Promise<{ invocations: number; repeated: number }> {
      return { invocations: calls.size, repeated: [...calls.values()].filter((n) => n > 1).length };
    },
  };
}
