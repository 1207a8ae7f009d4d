/** Cases over REST as rows of a table. */
import { request } from 'node:http';
import { Problem } from '../../src/contract/errors.ts';
import { tokenOf } from './city.ts';
import type { Case, CorpusCity } from './city.ts';

export interface Sent {
  method: string;
  path: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer | undefined;
  /** The bearer token; a good one when absent, none when null. */
  token?: string | null;
}

/** What is sent, or what makes it once the city is there. */
type Sends = Sent | ((city: CorpusCity) => Sent | Promise<Sent>);

/** Name, what is sent, what comes of it (`status code`), and how many rows it makes. */
export type RestRow = [name: string, sent: Sends, expected: string | readonly string[], rows?: number];

const JSON_TYPE = { 'content-type': 'application/json' };

export const get = (path: string, more: Partial<Sent> = {}): Sent => ({ method: 'GET', path, ...more });

/** A request with a body: text and bytes as they are, all else as JSON. */
export const sends = (method: string, path: string, body?: unknown, more: Partial<Sent> = {}): Sent => ({
  method,
  path,
  body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  ...more,
  headers: { ...JSON_TYPE, ...more.headers },
});

export const post = (path: string, body?: unknown, more: Partial<Sent> = {}) =>
  sends('POST', path, body, more);

export const SEND = '/city/rooms/general/messages';
/** A message with `text` for a body. */
export const say = (text: unknown, more: Partial<Sent> = {}) => post(SEND, { body: text }, more);

/** What no answer may hold: a stack trace, a statement, a place in the file system. */
const LEAK = /\n\s+at |node_modules|\.[jt]s:\d+|\bselect .* from\b|postgres|dist\/src|ECONN/i;

/** Sends it and tells `status code`, or what is wrong with the form of the answer. */
async function send(city: CorpusCity, sent: Sent): Promise<string> {
  const { method, path, headers = {}, body, token = tokenOf() } = sent;
  const { status, type, text } = await new Promise<{ status: number; type: string; text: string }>(
    (resolve, reject) => {
      const authorization = token === null ? {} : { authorization: `Bearer ${token}` };
      const options = { port: city.port, method, path, headers: { ...authorization, ...headers } };
      const outgoing = request({ ...options, host: '127.0.0.1', agent: false }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const type = response.headers['content-type'] ?? '';
          resolve({ status: response.statusCode!, type, text: Buffer.concat(pieces).toString() });
        });
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    },
  );
  if (status < 400) return String(status);
  if (LEAK.test(text)) return `${status} and a leak: ${text}`;
  // What Node's parser refuses has no body; everything that reaches the city has a problem document.
  if (text === '') return String(status);
  if (!type.startsWith('application/problem+json')) return `${status} as ${type}`;
  return `${status} ${Problem.parse(JSON.parse(text)).code}`;
}

export const restCases = (rows: readonly RestRow[]): Case[] =>
  rows.map(([name, sent, expected, made = 0]) => ({
    name,
    expected,
    rows: made,
    send: async (city) => send(city, typeof sent === 'function' ? await sent(city) : sent),
  }));
