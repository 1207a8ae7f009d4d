import { describe, expect, it } from '@jest/globals';
import type { z } from 'zod';
import {
  AgentId,
  CallerId,
  ClientId,
  MessageId,
  queryInt,
  RoomRef,
  Seq,
  Slug,
  text,
  Timestamp,
  visibleText,
} from '../../src/contract/primitives.ts';

const ULID = '01JCZ6YB8Q4T0000000000000A';
const accepts = (schema: z.ZodType, value: unknown) => schema.safeParse(value).success;

describe('ids', () => {
  it.each<[string, z.ZodType, unknown, boolean]>([
    ['CallerId', CallerId, 'u_alice', true],
    ['CallerId', CallerId, 'svc_a-b_C9', true],
    ['CallerId', CallerId, `u_${'x'.repeat(64)}`, true],
    ['CallerId', CallerId, `u_${'x'.repeat(65)}`, false],
    ['CallerId', CallerId, 'u_', false],
    ['CallerId', CallerId, 'u_alice\n', false],
    ['CallerId', CallerId, 'ag_alice', false],
    ['AgentId', AgentId, 'ag_system', true],
    ['AgentId', AgentId, 'u_system', false],
    ['MessageId', MessageId, `m_city_${ULID}`, true],
    ['MessageId', MessageId, `m_city_${ULID.toLowerCase()}`, false],
    ['MessageId', MessageId, `m_city_${ULID}0`, false],
    ['Slug', Slug, 'a', true],
    ['Slug', Slug, 'a--b', true],
    ['Slug', Slug, 'x'.repeat(64), true],
    ['Slug', Slug, 'x'.repeat(65), false],
    ['Slug', Slug, '-a', false],
    ['Slug', Slug, 'a-', false],
    ['Slug', Slug, '', false],
    ['ClientId', ClientId, 'A-z_0', true],
    ['ClientId', ClientId, 'x'.repeat(65), false],
    ['ClientId', ClientId, 'a.b', false],
  ])('%s: %# %s', (_, schema, value, good) => expect(accepts(schema, value)).toBe(good));

  it('reads a slug as the id of its room', () => {
    expect(RoomRef.parse('general')).toBe('room_city_general');
    expect(RoomRef.parse('room_city_general')).toBe('room_city_general');
    expect(RoomRef.parse('room-city-general')).toBe('room_city_room-city-general');
    expect(accepts(RoomRef, 'room_city_')).toBe(false);
    expect(accepts(RoomRef, '__proto__')).toBe(false);
  });
});

describe('text', () => {
  it('counts code points', () => {
    expect(accepts(text(3), '🌻🌻🌻')).toBe(true);
    expect(accepts(text(3), '🌻🌻🌻🌻')).toBe(false);
    expect(accepts(text(1), 'é'.normalize('NFD'))).toBe(false);
  });

  it('refuses what PostgreSQL cannot store', () => {
    for (const value of ['\0', 'a\0b', '\ud800', 'a\udc00', '\udc00\ud800']) {
      expect(accepts(text(9), value)).toBe(false);
    }
    expect(accepts(text(9), '\ud83c\udf3b\u0001\ufffd')).toBe(true);
  });

  it('knows what is blank', () => {
    const ignorable = ['\u3164\uffa0', '\u115f\u1160', '\ufe0f\u034f', '\u2800'];
    const blank = ['', ' ', '\n\t', '\u00a0\u3000', '\u200b\u2060\ufeff', '\u202e', '\u0001', ...ignorable];
    for (const value of blank) {
      expect([value, accepts(visibleText(9), value)]).toEqual([value, false]);
    }
    for (const value of ['.', ' x ', '0', '\u{1F33B}', '\ue000', '\u{10FFFD}', '\u{3FFFD}', '\u0301']) {
      expect([value, accepts(visibleText(9), value)]).toEqual([value, true]);
    }
  });
});

describe('numbers and times', () => {
  it.each([
    ['1', 1],
    ['200', 200],
    ['007', 7],
    ['0', undefined],
    ['201', undefined],
    ['', undefined],
    [' 5', undefined],
    ['+5', undefined],
    ['-5', undefined],
    ['5.0', undefined],
    ['1e2', undefined],
    ['0x10', undefined],
    ['٣', undefined],
    [['5', '6'], undefined],
    [5, undefined],
  ])('reads the query %j as %s', (given, expected) => {
    expect(queryInt(1, 200).safeParse(given).data).toBe(expected);
  });

  it('takes safe whole numbers as seq', () => {
    for (const value of [0, 1, Number.MAX_SAFE_INTEGER]) expect(accepts(Seq, value)).toBe(true);
    for (const value of [-1, 0.5, 2 ** 53, Infinity, NaN, '1', null]) expect(accepts(Seq, value)).toBe(false);
  });

  it('wants UTC and milliseconds', () => {
    expect(accepts(Timestamp, new Date().toISOString())).toBe(true);
    for (const value of ['2026-01-01T00:00:00Z', '2026-01-01T00:00:00.000+02:00', '2026-01-01', 'now']) {
      expect(accepts(Timestamp, value)).toBe(false);
    }
  });
});
