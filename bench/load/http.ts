/**
 * Closed-loop HTTP load over plain TCP: each connection sends the next request when the answer to the one before is
 * there. It reads of an answer no more than its status and its length, so that the server is what is measured.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { createHistogram } from '../measure/histogram.ts';

export interface HttpOptions {
  url: string;
  path: string;
  /** Taken in turn. */
  tokens: string[];
  connections: number;
}

export interface HttpResult {
  /** Answers with 200. */
  answered: number;
  /** From the first request to the last answer. */
  seconds: number;
  p50Us: number;
  p99Us: number;
  /** Answers that were no 200, and connections that broke. */
  failures: number;
  /** The body of the last answer. */
  sample: string;
}

const END_OF_HEAD = Buffer.from('\r\n\r\n');

interface Answer {
  ok: boolean;
  bytes: Buffer[];
}

/** One connection; `ask` resolves with the answer. */
function openConnection(url: URL): (request: Buffer) => Promise<Answer> {
  let socket: Socket | undefined;
  let settle: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined;
  let pieces: Buffer[] = [];
  let size = 0;
  /** Bytes of the answer under way, its head included, once that has been read. */
  let whole = Infinity;
  let ok = false;

  const onData = (piece: Buffer) => {
    pieces.push(piece);
    size += piece.length;
    if (whole === Infinity) {
      const start = pieces.length === 1 ? piece : Buffer.concat(pieces);
      const head = start.indexOf(END_OF_HEAD);
      if (head === -1) return;
      const text = start.toString('latin1', 0, head);
      ok = text.startsWith('HTTP/1.1 200');
      const length = /content-length: (\d+)/i.exec(text)?.[1];
      if (length === undefined) return void socket!.destroy(new Error('an answer without a length'));
      whole = head + END_OF_HEAD.length + Number(length);
    }
    if (size < whole) return;
    const bytes = pieces;
    pieces = [];
    size = 0;
    whole = Infinity;
    settle!.resolve({ ok, bytes });
  };

  return (request) =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject };
      if (!socket || socket.destroyed) {
        socket = connect(Number(url.port), url.hostname).setNoDelay(true);
        socket.on('data', onData);
        socket.on('error', () => {}); // told by 'close'
        socket.on('close', () => settle!.reject(new Error('the connection broke')));
      }
      socket.write(request);
    });
}

export function create({ url, path, tokens, connections }: HttpOptions) {
  const base = new URL(url);
  const requests = tokens.map((token) =>
    Buffer.from(`GET ${path} HTTP/1.1\r\nHost: ${base.host}\r\nAuthorization: Bearer ${token}\r\n\r\n`),
  );
  const asks = Array.from({ length: connections }, () => openConnection(base));
  let next = 0;

  return {
    /** Asks for so many milliseconds on every connection; resolves when everything is answered. */
    async run(ms: number): Promise<HttpResult> {
      const latencies = createHistogram();
      let failures = 0;
      let last: Answer | undefined;
      const began = performance.now();
      const end = began + ms;
      await Promise.all(
        asks.map(async (ask) => {
          for (let now = performance.now(); now < end;) {
            const sentAt = now;
            const answer = await ask(requests[next++ % requests.length]!).catch(() => undefined);
            now = performance.now();
            if (!answer?.ok) failures += 1;
            else {
              latencies.record((now - sentAt) * 1000);
              last = answer;
            }
          }
        }),
      );
      const seconds = (performance.now() - began) / 1000;
      const bytes = Buffer.concat(last?.bytes ?? []);
      return {
        answered: latencies.count(),
        seconds,
        p50Us: latencies.quantile(0.5),
        p99Us: latencies.quantile(0.99),
        failures,
        sample: bytes.subarray(bytes.indexOf(END_OF_HEAD) + END_OF_HEAD.length).toString(),
      };
    },
  };
}

export type HttpLoad = ReturnType<typeof create>;
