/** AppError: the one error type that a caller is told about, and what storage trouble becomes. */
import type { ErrorCode, FieldError } from '../contract/errors.ts';

interface AppErrorOptions {
  cause?: unknown;
  /** For `invalid`: what is wrong with which field. */
  errors?: FieldError[];
  /** For retryable codes: how long to wait, milliseconds. */
  retryAfterMs?: number;
  /** HTTP methods for the Allow header of `method_not_allowed`. */
  allow?: string[];
}

/** A refusal with a stable `code`; `message` is shown to the caller, `cause` goes to the log only. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly errors: FieldError[] | undefined;
  readonly retryAfterMs: number | undefined;
  readonly allow: string[] | undefined;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.errors = options.errors;
    this.retryAfterMs = options.retryAfterMs;
    this.allow = options.allow;
  }
}

const DEFAULT_RETRY_MS: Partial<Record<ErrorCode, number>> = {
  unavailable: 1000,
  matrix_unavailable: 5000,
  rate_limited: 1000,
};

/** Milliseconds to wait before a retry of `error`; undefined when a retry is pointless. */
export const retryAfterMs = (error: AppError): number | undefined =>
  error.retryAfterMs ?? DEFAULT_RETRY_MS[error.code];

/**
 * PostgreSQL SQLSTATEs (and Node socket codes) that mean "not now" rather than "never":
 * connection loss (08…), out of resources (53…), operator intervention (57…), serialisation and deadlock (40…),
 * lock not available (55P03), read-only (25006), i/o error (58030).
 * Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const TEMPORARY_CODE =
  /^(08...|53...|57...|40001|40P01|55P03|25006|25P0[23]|58030|E(CONNREFUSED|CONNRESET|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|NOTFOUND|AI_AGAIN))$/;
/** pg, knex and ioredis report these without a code. */
const TEMPORARY_MESSAGE =
  /Connection (ended|terminated|is closed)|connection timeout|timeout exceeded|Query read timeout|Timeout acquiring a connection|Client has encountered a connection error|Stream isn't writeable|Command timed out|max retries per request|Connection is closed|Unable to acquire a connection|^aborted$/i;

/** Redis is up but cannot serve: loading, a replica, out of memory, unable to persist, in a script. */
const REDIS_REFUSAL = /^(LOADING|READONLY|OOM|MISCONF|BUSY) /;

/** Whether `error` says that PostgreSQL or Redis cannot answer now, so that the same call may succeed later. */
export function isTemporary(error: unknown): boolean {
  // By shape, not by class: errors of Node itself may belong to another realm.
  const { code, message, errors } = (error ?? {}) as { code?: unknown; message?: unknown; errors?: unknown };
  if (Array.isArray(errors) && errors.some(isTemporary)) return true;
  if (typeof code === 'string' && TEMPORARY_CODE.test(code)) return true;
  return typeof message === 'string' && (TEMPORARY_MESSAGE.test(message) || REDIS_REFUSAL.test(message));
}

/** `error` as the caller may see it: AppErrors as they are, storage trouble `unavailable`, all else `internal`. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (isTemporary(error)) {
    return new AppError('unavailable', 'A part of the city is not answering; try again shortly.', {
      cause: error,
    });
  }
  return new AppError('internal', 'Something went wrong on our side.', { cause: error });
}
