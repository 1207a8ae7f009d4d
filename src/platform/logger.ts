/** JSON-line logs: ids rather than contents, and never a token. */
import { pino } from 'pino';
import type { Logger } from 'pino';

export type { Logger };

/** The process's logger; children carry request and socket ids. */
export function createLogger(level: string, bindings: Record<string, string> = {}): Logger {
  return pino({
    level,
    base: bindings,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: {
      // PostgreSQL quotes whole rows in `detail`, and with them what people wrote.
      err: (error: Error) => ({ ...pino.stdSerializers.err(error), detail: undefined }),
    },
    redact: {
      paths: ['token', 'access_token', '*.token', '*.access_token', '*.authorization'],
      censor: '[redacted]',
    },
  });
}
