/** New ids: a prefix and a ULID that rises within the process. */
import { getRandomValues } from 'node:crypto';
import { monotonicFactory } from 'ulid';

export type NewId = (
  prefix: 'm_city' | 'evt_city' | 'rep_city' | 'mod_city' | 'smsess' | 'smmsg' | 'sminv',
) => string;

const POOL_BYTES = 4_096;

/** Numbers in [0, 1) from the system's generator, drawn many at a time: a ULID asks for sixteen, one by one. */
function createRandom(): () => number {
  const pool = new Uint8Array(POOL_BYTES);
  let next = POOL_BYTES;
  return () => {
    if (next === POOL_BYTES) {
      getRandomValues(pool);
      next = 0;
    }
    return pool[next++]! / 256;
  };
}

export function createIds(): NewId {
  const ulid = monotonicFactory(createRandom());
  return (prefix) => `${prefix}_${ulid()}`;
}
