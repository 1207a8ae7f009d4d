/** Word and link filters: what is refused, what is not, and how it is configured. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readConfig } from '../../src/config.ts';
import { createFilters } from '../../src/moderation/filters.ts';
import type { FilterSettings } from '../../src/moderation/filters.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';

const passes = (settings: FilterSettings, body: string): boolean => {
  try {
    createFilters(settings).check({ body });
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'invalid', errors: [{ path: 'body' }] });
    return false;
  }
};

describe('words', () => {
  const words = ['Badword', 'погане', 'two words', 'straße', 'café'];
  it.each([
    'badword',
    'BADWORD!',
    'a badword, here',
    '_badword_',
    'bad\u200Bword',
    'b\u200Da\u2060d\uFEFFw\u00ADord',
    'bad\u034Fword',
    'bad\uFE0Fword',
    'bad\u3164word',
    'ｂａｄｗｏｒｄ',
    '𝐛𝐚𝐝𝐰𝐨𝐫𝐝',
    '𝐁𝐀𝐃𝐖𝐎𝐑𝐃',
    'ⓑⓐⓓⓦⓞⓡⓓ',
    'ПОГАНЕ слово',
    'по\u200Bгане',
    'two  words',
    'two\nWORDS',
    'two-words',
    'STRASSE',
    'cafe\u0301',
    'CAFE\u200B\u0301',
  ])('refuse %j', (text) => expect(passes({ words, links: 'off' }, text)).toBe(false));

  it.each([
    'badwords',
    'notbadword',
    'bad word',
    'поганенько',
    'two other words',
    'cafe',
    'straight',
    '',
    '🙂',
  ])('let %j through', (text) => expect(passes({ words, links: 'off' }, text)).toBe(true));

  it('let й be another letter than и', () => {
    expect(passes({ words: ['мий'], links: 'off' }, 'мии')).toBe(true);
    expect(passes({ words: ['мий'], links: 'off' }, 'ми\u0438\u0306')).toBe(false);
  });
});

const LINKS = [
  'see https://evil.example/x',
  'HTTP://EVIL.EXAMPLE',
  'http:evil.example',
  'https:\\\\evil.example',
  'ftp://evil.example/file',
  'javascript://evil.example/%0aalert(1)',
  '//evil.example/x',
  'www.evil.example',
  'evil.example/path',
  'h\u200Bttps://evil.example',
  'ｈｔｔｐｓ://evil.example',
  'https://good.example@evil.example/',
  'https://good.example.evil.example/',
  'https://evilgood.example/',
  'https://evil。example/',
  '(https://evil.example)',
  '[x](https://evil.example)',
  'https://good.example https://evil.example',
];

describe('links', () => {
  it.each(LINKS)('%j is refused when links are, and when its host is not listed', (text) => {
    expect(passes({ words: [], links: 'on' }, text)).toBe(false);
    expect(passes({ words: [], links: ['good.example'] }, text)).toBe(false);
    expect(passes({ words: [], links: 'off' }, text)).toBe(true);
  });

  it.each([
    'https://good.example',
    'https://GOOD.example:8443/a?b#c',
    'www.good.example',
    'https://deep.good.example/x',
    'good.example/x, see?',
    'https://good.example./x',
  ])('%j is let through when its host is listed, and refused when all links are', (text) => {
    expect(passes({ words: [], links: ['good.example'] }, text)).toBe(true);
    expect(passes({ words: [], links: 'on' }, text)).toBe(false);
  });

  it.each([
    'no link',
    'e.g. this',
    'node.js',
    'and/or',
    '1/2',
    'a: b',
    'файл.txt',
    'me@good.example',
    'wow...ok',
    '12:30',
  ])('%j is none', (text) => expect(passes({ words: [], links: 'on' }, text)).toBe(true));
});

// A pattern that tries everything would not come back within the patience of the runner.
it('comes back from the longest messages', () => {
  const settings = { words: Array.from({ length: 1000 }, (_, i) => `bad word${i}`), links: 'on' as const };
  const links = ['www.', 'a.bc/', 'http://'];
  for (const piece of ['a', 'a.', 'a-', '/', ':/', 'a.b/', 'https', ' bad word ', 'ﷺ', ...links]) {
    const body = piece.repeat(10_000).slice(0, 10_000);
    expect([piece, passes(settings, body)]).toEqual([piece, !links.includes(piece)]);
  }
});

describe('the configuration', () => {
  const required = { DATABASE_URL: 'postgres://x/x', REDIS_URL: 'redis://x' };
  const filtersOf = (env: Record<string, string>) => readConfig({ ...required, ...env }).filters;

  it('filters nothing by default', () => {
    expect(filtersOf({})).toEqual({ words: [], links: 'off' });
  });
  it('reads words, hosts and switches', () => {
    expect(filtersOf({ FILTER_WORDS: ' a, b c ,,г', FILTER_LINKS: 'on' })).toEqual({
      words: ['a', 'b c', 'г'],
      links: 'on',
    });
    expect(filtersOf({ FILTER_LINKS: 'Good.example, місто.укр' }).links).toEqual([
      'good.example',
      'xn--l1aeie2h.xn--j1amh',
    ]);
  });
  it.each([{ FILTER_WORDS: 'a,***' }, { FILTER_LINKS: 'https://good.example' }, { FILTER_LINKS: 'a b' }])(
    'refuses %j',
    (env) => expect(() => filtersOf(env)).toThrow(Object.keys(env)[0]!),
  );
});

describe('in the city', () => {
  let city: City;
  beforeAll(async () => {
    city = await startCity({ env: { FILTER_WORDS: 'badword', FILTER_LINKS: 'good.example' } });
  });
  afterAll(() => city.stop());

  it('a message is refused with the field, over every edge, sent or edited; a room’s name too', async () => {
    const rest = await city.rest('u_writer');
    const messages = '/city/rooms/general/messages';
    for (const body of ['BAD\u200BWORD', 'https://evil.example']) {
      const refused = await rest('POST', messages, { body });
      expect(refused).toMatchObject({ status: 400, body: { code: 'invalid', errors: [{ path: 'body' }] } });
      expect(JSON.stringify(refused.body)).not.toMatch(/badword|evil/i);
    }
    const { status, body: message } = await rest('POST', messages, { body: 'https://good.example' });
    expect(status).toBe(201);
    expect((await rest('PATCH', `${messages}/${message.id}`, { body: 'badword' })).status).toBe(400);
    const socket = await city.socket('/rooms', 'u_writer');
    for (const [event, payload] of [
      ['room.message.send', { body: 'badword' }],
      ['room.message.edit', { message_id: message.id, body: 'badword' }],
    ] as const) {
      expect(await socket.ack(event, { room_id: 'general', ...payload })).toMatchObject({
        ok: false,
        error: { code: 'invalid', errors: [{ path: 'body' }] },
      });
    }
    const named = await rest('POST', '/city/rooms', { name: 'Badword', slug: 'fine' });
    expect(named).toMatchObject({ status: 400, body: { errors: [{ path: 'name' }] } });
    await rest('POST', '/city/rooms', { name: 'Fine', slug: 'fine' });
    expect((await rest('PATCH', '/city/rooms/fine', { description: 'evil.example/x' })).status).toBe(400);
    socket.close();
  });
});
