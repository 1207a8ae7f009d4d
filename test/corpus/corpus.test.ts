/** Bad input of every kind against one real process: each is refused as expected, and the city sings on after it. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ConfigError, readConfig } from '../../src/config.ts';
import { until } from '../support/until.ts';
import { AGENT_CASES, BAD_ADDRESSES } from './agents.cases.ts';
import { startCorpusCity } from './city.ts';
import type { Case, CorpusCity } from './city.ts';
import { EVENT_CASES } from './events.cases.ts';
import { REST_CASES } from './rest.cases.ts';
import { TOKEN_CASES } from './tokens.cases.ts';
import { WIRE_CASES } from './wire.cases.ts';
import { dial } from './wire.ts';
import type { Line } from './wire.ts';

let city: CorpusCity;
/** Clients that begin a request and never end it: cut while the rest of the corpus runs. */
const slow: [what: string, line: Line][] = [];

beforeAll(async () => {
  city = await startCorpusCity();
  for (const [what, bytes] of [
    ['headers', 'GET /city/rooms HTTP/1.1\r\nHost: x\r\nX-Slow: '],
    ['a body', 'POST /city/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{'],
  ] as const) {
    const line = dial(city.port);
    line.socket.write(bytes);
    slow.push([what, line]);
  }
}, 60_000);

afterAll(async () => {
  const { code, bad } = await city.stop();
  expect({ code, bad }).toEqual({ code: 0, bad: [] });
}, 60_000);

const run = async ({ send, expected, rows = 0 }: Case) => {
  const found = await send(city).catch((error: unknown) => `nothing: ${String(error)}`);
  const harm = await city.harm(rows);
  expect({ found: [expected].flat().includes(found) || found, harm }).toEqual({ found: true, harm: [] });
};

describe('REST', () => it.each(REST_CASES)('$name', run));
describe('tokens', () => it.each(TOKEN_CASES)('$name', run));
describe('events', () => it.each(EVENT_CASES)('$name', run));
describe('the wire', () => it.each(WIRE_CASES)('$name', run));
describe('Agents Core', () => {
  it.each(AGENT_CASES)('$name', run);

  it.each(BAD_ADDRESSES)('is not at %s', (AGENTS_SERVICE_URL) => {
    const env = { DATABASE_URL: 'postgres://x', REDIS_URL: 'redis://x', AGENTS_SERVICE_URL };
    expect(() => readConfig(env)).toThrow(ConfigError);
    expect(() => readConfig(env)).toThrow(/^AGENTS_SERVICE_URL: /);
  });
});

describe('who is slow', () => {
  it('is cut off, over the headers and over the body alike', async () => {
    for (const [what, line] of slow) await until(() => line.ended(), `the end of slow ${what}`, 45_000);
    expect(await city.harm(0)).toEqual([]);
  }, 100_000);
});
