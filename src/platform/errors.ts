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
 * PostgreSQL SQLSTATEs that mean "not now" rather than "never": connection loss (08…), out of disk, memory or
 * connections (53…), operator intervention, crash, start and shutdown (57…), rollback for others' sake (40001, 40P01),
 * lock not available (55P03), read-only (25006), a transaction that a timeout or an error ended (25P0…), i/o error (58…).
 * Source: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const TEMPORARY_STATE = /^(08...|53...|57...|40001|40P01|55P03|25006|25P0[234]|58000|58030)$/;
/**
 * PostgreSQL lets nobody in: the password is another (28…), the database is gone (3D000) or takes no connections (55000;
 * its other meanings are mistakes in a statement, and ours make none of them). Whoever runs the city mends it, and those
 * who ask meanwhile did nothing wrong.
 */
const SHUT_STATE = /^(28...|3D000|55000)$/;
/** Codes of Node that say that a server cannot be reached or went away. */
const TEMPORARY_CODE =
  /^E(CONNREFUSED|CONNRESET|CONNABORTED|PIPE|TIMEDOUT|HOSTUNREACH|HOSTDOWN|NETUNREACH|NETDOWN|ADDRNOTAVAIL|NOTFOUND|AI_AGAIN|MFILE|NFILE)$/;
/** pg, knex and ioredis report these without a code. */
const TEMPORARY_MESSAGE =
  /Connection (ended|terminated|is closed)|connection timeout|timeout exceeded|timeout expired|operation timed out|Query read timeout|Timeout acquiring a connection|Client (has encountered a connection error|was closed)|No space left on device|Stream isn't writeable|Command timed out|max retries per request|Connection is closed|Unable to acquire a connection|^aborted$/i;

/**
 * Redis is up but does not serve: loading, a replica, one without its master or a master without its replicas, a cluster
 * that is not whole, out of memory, unable to persist, in a script, asked too late; or it does not serve us any more.
 */
const REDIS_REFUSAL =
  /^(LOADING|READONLY|MASTERDOWN|NOREPLICAS|CLUSTERDOWN|TRYAGAIN|OOM|MISCONF|BUSY|LATE|NOAUTH|WRONGPASS|NOPERM) /;
/** The same of a command in a script: Redis 6 puts a sentence in front, and from 7 on NOPERM has other words. */
const REDIS_REFUSAL_IN_SCRIPT =
  /^ERR (Error running script .*: -(READONLY|NOREPLICAS|OOM|MISCONF|NOPERM) |ACL failure in script|The user executing the script can't run)/;

/** Whether `error` says that PostgreSQL or Redis cannot answer now, so that the same call may succeed later. */
export function isTemporary(error: unknown): boolean {
  // By shape, not by class: errors of Node itself may belong to another realm.
  const { code, message, errors } = (error ?? {}) as { code?: unknown; message?: unknown; errors?: unknown };
  if (Array.isArray(errors) && errors.some(isTemporary)) return true;
  if (typeof code === 'string' && [TEMPORARY_STATE, TEMPORARY_CODE, SHUT_STATE].some((of) => of.test(code)))
    return true;
  return (
    typeof message === 'string' &&
    [TEMPORARY_MESSAGE, REDIS_REFUSAL, REDIS_REFUSAL_IN_SCRIPT].some((of) => of.test(message))
  );
}

/** Whether `error` says that PostgreSQL lets nobody in, which no waiting mends. */
export function isShutOut(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' && SHUT_STATE.test(code);
}

/** Whether `error` says that PostgreSQL gave a statement up because somebody else holds what it had to lock. */
export function waitedForLock(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === '55P03';
}

/** Whether `error` says that PostgreSQL was to store something about a row that has gone meanwhile. */
export function refersToGone(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === '23503';
}

/** Whether `error` says that PostgreSQL answers but takes no writes: read-only, or out of disk or memory. */
export function refusesWrites(error: unknown): boolean {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return (
    (typeof code === 'string' && /^(25006|53[124]00)$/.test(code)) ||
    (typeof message === 'string' && message.includes('No space left on device'))
  );
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
