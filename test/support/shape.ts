/** Holding an answer against a schema of the contract. */
import { expect } from '@jest/globals';
import type { z } from 'zod';

/** Passes when `value` is exactly what `schema` describes: parsing strips what it does not know. */
export function expectShape<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.parse(value);
  expect(value).toEqual(parsed);
  return parsed;
}
