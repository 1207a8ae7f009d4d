/** A hostile Agents Core: answers as the prompt asks it to. */
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const JSON_TYPE = { 'content-type': 'application/json' };
const STREAM = { 'content-type': 'text/event-stream' };
const MEGABYTE = 'x'.repeat(1024 * 1024);

const json = (response: ServerResponse, body: string) => void response.writeHead(200, JSON_TYPE).end(body);
const stream = (response: ServerResponse, ...events: string[]) =>
  void response.writeHead(200, STREAM).end(events.map((event) => `data: ${event}\n\n`).join(''));

/** Writes until the other side has had enough. */
function flood(response: ServerResponse, piece: string): void {
  const more = () => {
    while (!response.destroyed && response.write(piece));
  };
  response.on('drain', more);
  more();
}

/** What it does with a prompt; anything else is answered well. */
const TRICKS: Record<string, (response: ServerResponse, elsewhere: string) => void> = {
  'not json': (response) => json(response, '<html>busy</html>'),
  'an array': (response) => json(response, '["reply"]'),
  null: (response) => json(response, 'null'),
  'a number for a reply': (response) => json(response, '{"reply":42}'),
  'no reply': (response) => json(response, '{}'),
  'a blank reply': (response) => json(response, '{"reply":" \\u200b\\n"}'),
  'a deep reply': (response) => json(response, `{"reply":${'['.repeat(50_000)}${']'.repeat(50_000)}}`),
  'dangerous keys': (response) =>
    json(response, '{"reply":"fine","__proto__":{"fallback":true},"constructor":{"prototype":{}}}'),
  'a token count past 2^53': (response) => json(response, '{"reply":"fine","tokens_used":1e300}'),
  'a negative token count': (response) => json(response, '{"reply":"fine","tokens_used":-5}'),
  'NUL in the reply': (response) => json(response, '{"reply":"a\\u0000b"}'),
  'a lone surrogate': (response) => json(response, '{"reply":"a\\ud800b"}'),
  'terminal escapes': (response) => json(response, '{"reply":"\\u001b[2J\\u001b]0;x\\u0007\\r\\n{}"}'),
  'markup in the reply': (response) => json(response, '{"reply":"<script>alert(1)</script>"}'),
  'bytes that are not UTF-8': (response) =>
    void response.writeHead(200, JSON_TYPE).end(Buffer.from('{"reply":"a\xff\xfe"}', 'latin1')),
  'a megabyte': (response) => json(response, JSON.stringify({ reply: MEGABYTE })),
  'json without end': (response) => (response.writeHead(200, JSON_TYPE), flood(response, MEGABYTE)),
  'a stream without end': (response) => {
    response.writeHead(200, STREAM);
    flood(response, `data: {"delta":"${'x'.repeat(1024)}"}\n\n`);
  },
  'an event without end': (response) => (response.writeHead(200, STREAM), flood(response, MEGABYTE)),
  'a stream that breaks off': (response) => stream(response, '{"delta":"hello"}'),
  'garbage in a stream': (response) => stream(response, 'nonsense', '{"done":true}'),
  'surrogates cut by deltas': (response) =>
    stream(response, '{"delta":"\\ud83c"}', '{"delta":"\\udf3b"}', '{"delta":"\\ud800"}', '{"done":true}'),
  'a wrong content type': (response) =>
    void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>reply</p>'),
  'a redirect': (response, elsewhere) => void response.writeHead(302, { location: elsewhere }).end(),
  'a redirect that keeps the method': (response, elsewhere) =>
    void response.writeHead(307, { location: elsewhere }).end(),
  'a status of 404': (response) => void response.writeHead(404).end('no'),
  'a status of 500': (response) => void response.writeHead(500).end('Error: at /secret/path.js:1:1'),
  'a status of 429 for an hour': (response) =>
    void response.writeHead(429, { 'retry-after': '3600' }).end('later'),
  'an encoding nobody asked for': (response) =>
    void response.writeHead(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }).end('{"reply":"x"}'),
  'bytes that are not HTTP': (response) => void response.socket?.end('SSH-2.0-OpenSSH_9.6\r\n'),
  'a reset': (response) => void response.socket?.resetAndDestroy(),
  'headers over 16 KB': (response) =>
    void response.writeHead(200, { ...JSON_TYPE, 'x-filler': 'x'.repeat(64 * 1024) }).end('{"reply":"x"}'),
  'no answer at all': () => {},
};

/** Starts it on 127.0.0.1; `elsewhere` is how often a redirect was followed. */
export async function startHostileAgents() {
  let followed = 0;
  const server = createServer((request, response) => {
    response.on('error', () => {});
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('end', () => {
      if (!request.url?.startsWith('/agents/')) {
        followed += 1;
        return json(response, '{"reply":"from elsewhere"}');
      }
      const { input } = JSON.parse(Buffer.concat(pieces).toString()) as { input: string };
      const trick = TRICKS[input];
      if (!trick) return json(response, '{"reply":"well said","tokens_used":1}');
      trick(response, `http://${request.headers.host}/elsewhere`);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    followed: () => followed,
    async stop(): Promise<void> {
      server.closeAllConnections();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}
