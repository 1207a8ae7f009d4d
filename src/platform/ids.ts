/** New ids: a prefix and a ULID that rises within the process. */
import { monotonicFactory } from 'ulid';

export type NewId = (
  prefix: 'm_city' | 'evt_city' | 'rep_city' | 'mod_city' | 'smsess' | 'smmsg' | 'sminv',
) => string;

export function createIds(): NewId {
  const ulid = monotonicFactory();
  return (prefix) => `${prefix}_${ulid()}`;
}
