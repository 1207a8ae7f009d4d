/** The one error of the page: a stable code, whether to try again and when. */

export class CityError extends Error {
  override readonly name = 'CityError';
  constructor(
    readonly code: string,
    message: string,
    readonly retryable: boolean,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
  }
}

export const asCityError = (error: unknown): CityError =>
  error instanceof CityError ? error : new CityError('internal', String(error), false);

export const offline = (): CityError => new CityError('offline', 'No connection', true);
