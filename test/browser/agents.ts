/** An Agents Core that speaks when the test lets it: each call is a stream whose words the test gives one by one. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '../support/until.ts';

/** A call under way. */
export interface Telling {
  input: string;
  /** Streams some more of the reply. */
  say(text: string): void;
  /** Ends the reply. */
  done(): void;
  /** Resolves when the caller has hung up, or has everything. */
  closed: Promise<unknown>;
}

export interface Agents {
  /** What AGENTS_SERVICE_URL is set to. */
  url: string;
  /** The next call, past or to come. */
  next(): Promise<Telling>;
  /** Cuts the calls under way and closes the port. */
  stop(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1. */
export async function startAgents(): Promise<Agents> {
  const calls: Telling[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      const send = (event: unknown) => void response.write(`data: ${JSON.stringify(event)}\n\n`);
      response.on('error', () => {});
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      calls.push({
        input: (JSON.parse(text) as { input: string }).input,
        say: (delta) => send({ delta }),
        done() {
          send({ done: true, tokens_used: 42 });
          response.end();
        },
        closed: once(response, 'close'),
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    next: () => until(() => calls.shift(), 'a call of Agents Core'),
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
