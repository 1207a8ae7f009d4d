/** The scalar forms of the wire: ids, texts, timestamps, numbers in a query string. */
import { z } from 'zod';

const ULID = '[0-9A-HJKMNP-TV-Z]{26}';
const prefixed = (prefix: string) => z.string().regex(new RegExp(`^${prefix}_${ULID}$`));

/** A caller: a citizen `u_…` or a service `svc_…`. */
export const CallerId = z.string().regex(/^(u|svc)_[A-Za-z0-9_-]{1,64}$/);
export const AgentId = z.string().regex(/^ag_[A-Za-z0-9_-]{1,64}$/);
export const MessageId = prefixed('m_city');
export const FeedEventId = prefixed('evt_city');
export const InvocationId = prefixed('sminv');
export const ReportId = prefixed('rep_city');
export const ModerationId = prefixed('mod_city');

export const SLUG_MAX = 64;
export const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;
export const Slug = z.string().regex(SLUG, 'lower-case letters, digits and inner hyphens, 1–64');
export const RoomId = z.string().regex(/^room_city_[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/);
/** A room named by its id or its slug; parsed into the id. A slug has no underscore, so the two never collide. */
export const RoomRef = z
  .union([RoomId, Slug])
  .transform((ref) => (ref.startsWith('room_city_') ? ref : `room_city_${ref}`));

/** The key under which a repeated request is recognised. */
export const ClientId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, '1–64 of A–Z a–z 0–9 _ -');

export const Timestamp = z.iso.datetime({ precision: 3 }).describe('ISO 8601, UTC, milliseconds');
export const Seq = z.int().min(0);

const UNSTORABLE = /[\0\p{Cs}]/u;
/**
 * Not \p{C}: characters newer than this Node's Unicode, and private ones, show something. Not all letters and symbols
 * do: the Hangul fillers are ignorable by default (DI), and a Braille cell may have no dots.
 */
const VISIBLE = /[^\s\p{Cc}\p{Cf}\p{Cs}\p{Z}\p{DI}\u2800]/u;

/** Whether `value` shows nothing at all. */
export const isBlank = (value: string): boolean => !VISIBLE.test(value);

function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Text of at most `max` code points, without NUL and lone surrogates (PostgreSQL stores neither). */
export const text = (max: number) =>
  z
    .string()
    .refine((value) => !UNSTORABLE.test(value), 'must not contain NUL or lone surrogates')
    .refine((value) => value.length <= max || codePoints(value) <= max, `at most ${max} characters`)
    .meta({ maxLength: max });

/** `text(max)` with at least one visible character. */
export const visibleText = (max: number) =>
  text(max)
    .refine((value) => !isBlank(value), 'must not be blank')
    .meta({ minLength: 1, maxLength: max });

/** A whole number in a query string, `min`…`max`. */
export const queryInt = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max));

/** A refinement: at most one of the fields `names` is present. */
export const atMostOne =
  (...names: string[]) =>
  (value: object) =>
    names.filter((name) => (value as Record<string, unknown>)[name] !== undefined).length <= 1;
