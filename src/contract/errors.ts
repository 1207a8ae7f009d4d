/** The stable error codes, and the one table that says what each means to a caller. */
import { z } from 'zod';

interface ErrorMeaning {
  /** HTTP status of a REST answer. */
  readonly status: number;
  readonly title: string;
  /** Whether the same request may succeed later without a change. */
  readonly retryable: boolean;
}

export const ERRORS = {
  invalid: { status: 400, title: 'The request is not valid', retryable: false },
  unauthenticated: { status: 401, title: 'A valid token is needed', retryable: false },
  forbidden: { status: 403, title: 'Not allowed', retryable: false },
  not_found: { status: 404, title: 'Not found', retryable: false },
  method_not_allowed: { status: 405, title: 'Method not allowed', retryable: false },
  room_exists: { status: 409, title: 'A room with this slug exists', retryable: false },
  conflict: { status: 409, title: 'Conflict with the present state', retryable: false },
  too_large: { status: 413, title: 'The request is too large', retryable: false },
  unsupported_media_type: { status: 415, title: 'Unsupported media type', retryable: false },
  idempotency_mismatch: { status: 422, title: 'This key was used with another body', retryable: false },
  rate_limited: { status: 429, title: 'Too many requests', retryable: true },
  internal: { status: 500, title: 'Internal error', retryable: false },
  unavailable: { status: 503, title: 'Temporarily unavailable', retryable: true },
  matrix_unavailable: { status: 503, title: 'The Matrix homeserver is unavailable', retryable: true },
} as const satisfies Record<string, ErrorMeaning>;

export type ErrorCode = keyof typeof ERRORS;

export const ErrorCode = z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]);

/** One problem with one field of a request; `path` is dotted, empty for the request itself. */
export const FieldError = z.object({ path: z.string(), message: z.string() });
export type FieldError = z.infer<typeof FieldError>;

/** RFC 9457 problem document: the body of every REST answer with a status ≥ 400. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: ErrorCode,
    detail: z.string(),
    request_id: z.string(),
    errors: z.array(FieldError).optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;

/** The error of a negative Socket.IO acknowledgement. */
export const AckError = z
  .object({
    code: ErrorCode,
    message: z.string(),
    retryable: z.boolean(),
    retry_after_ms: z.int().optional(),
    errors: z.array(FieldError).optional(),
  })
  .meta({ id: 'AckError' });
export type AckError = z.infer<typeof AckError>;
