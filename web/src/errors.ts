/** The one error of the page: a stable code, whether to try again and when. */

export class CityError extends Error {
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;

  constructor(code: string, message: string, retryable: boolean, retryAfterMs: number | null = null) {
    super(message);
    this.name = 'CityError';
    this.code = code;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}

export const asCityError = (error: unknown): CityError =>
  error instanceof CityError ? error : new CityError('internal', String(error), false);

export const offline = (): CityError => new CityError('offline', 'No connection', true);
