/** Bad answers of Agents Core: what its user gets, and that the next question is answered well. */
import { until } from '../support/until.ts';
import type { Case, CorpusCity } from './city.ts';

/** Asks, and tells what becomes of it: the reply as far as it matters. */
async function ask(city: CorpusCity, prompt: string): Promise<string> {
  const { status, body, headers } = await city.rest(
    'POST',
    '/secondme/invoke',
    { prompt },
    { prefer: 'respond-async' },
  );
  if (status !== 202) return `${status} ${body.code}`;
  const path = headers.get('location')!;
  // An answer that never ends is its user's to break off.
  if (prompt === 'no answer at all') {
    await until(async () => (await city.rest('GET', path)).body.status === 'running', 'a call under way');
    await city.rest('DELETE', path);
  }
  const done = await until(
    async () => {
      const { body: found } = await city.rest('GET', path);
      return ['succeeded', 'failed', 'cancelled'].includes(found.status) && found;
    },
    'the end of an invocation',
    20_000,
  );
  if (done.status !== 'succeeded') return done.status;
  if (done.fallback) return 'fallback';
  return `${JSON.stringify(done.reply)} ${done.tokens_used}`;
}

const FALLBACK = 'fallback';
const FINE = '"fine" null';
const ROWS: readonly (readonly [trick: string, expected: string])[] = [
  ['not json', FALLBACK],
  ['an array', FALLBACK],
  ['null', FALLBACK],
  ['a number for a reply', FALLBACK],
  ['no reply', FALLBACK],
  ['a blank reply', FALLBACK],
  ['a deep reply', FALLBACK],
  ['dangerous keys', FINE],
  ['a token count past 2^53', FINE],
  ['a negative token count', FINE],
  ['NUL in the reply', '"ab" null'],
  ['a lone surrogate', '"a\ufffdb" null'],
  ['terminal escapes', `${JSON.stringify('\u001b[2J\u001b]0;x\u0007\r\n{}')} null`],
  ['markup in the reply', '"<script>alert(1)</script>" null'],
  ['bytes that are not UTF-8', '"a\ufffd\ufffd" null'],
  ['a megabyte', FALLBACK],
  ['json without end', FALLBACK],
  ['a stream without end', FALLBACK],
  ['an event without end', FALLBACK],
  ['a stream that breaks off', FALLBACK],
  ['garbage in a stream', FALLBACK],
  ['surrogates cut by deltas', '"🌻\ufffd" null'],
  ['a wrong content type', FALLBACK],
  ['a redirect', FALLBACK],
  ['a redirect that keeps the method', FALLBACK],
  ['a status of 404', FALLBACK],
  ['a status of 500', FALLBACK],
  ['a status of 429 for an hour', FALLBACK],
  ['an encoding nobody asked for', '"x" null'],
  ['bytes that are not HTTP', FALLBACK],
  ['a reset', FALLBACK],
  ['headers over 16 KB', FALLBACK],
  ['no answer at all', 'cancelled'],
];

export const AGENT_CASES: Case[] = ROWS.map(([trick, expected]) => ({
  name: `an agent: ${trick}`,
  expected: `${expected}; then "well said" 1; redirects followed: 0`,
  rows: 2,
  async send(city) {
    const found = await ask(city, trick);
    // A good answer in between, so that no case finds the circuit open for another's sake.
    return `${found}; then ${await ask(city, 'and now?')}; redirects followed: ${city.agents.followed()}`;
  },
}));

/** Addresses that are no address of Agents Core. */
export const BAD_ADDRESSES = [
  'agents',
  '//agents:8080',
  'file:///etc/passwd',
  'ftp://agents',
  'javascript:alert(1)',
  'unix:/var/run/agents.sock',
  'http://',
  'http://agents:99999',
  'http://[::1',
  'http://a b',
  'data:application/json,{}',
];
