/** The one error of the client: a stable code, whether the same call may succeed later, and when. */
import type { FieldError } from '../contract/errors.ts';
import type { ClientErrorCode } from './types.ts';

interface Details {
  retryable: boolean;
  retryAfterMs?: number | null | undefined;
  /** Which fields of the request were wrong. */
  errors?: readonly FieldError[] | undefined;
}

export class CityError extends Error {
  readonly code: ClientErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly errors: readonly FieldError[];

  constructor(code: ClientErrorCode, message: string, { retryable, retryAfterMs, errors }: Details) {
    super(message);
    this.name = 'CityError';
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs ?? null;
    this.errors = errors ?? [];
  }
}

/** The call did not reach the city, or its answer did not come back. */
export const offline = () => new CityError('offline', 'no connection', { retryable: true });

export const asCityError = (error: unknown): CityError =>
  error instanceof CityError ? error : new CityError('internal', String(error), { retryable: false });
