/** JSON-line logs: ids rather than contents, and never a token; what fails for everybody is said once, not each time. */
import { pino } from 'pino';
import type { LogFn, Logger, LoggerOptions } from 'pino';
import { isTemporary } from './errors.ts';

export type { Logger };

/** While storage does not answer, a message about it is repeated this often, with how many were left out. */
const REPEAT_MS = 10_000;

/** Lets a line through whose `err` is storage trouble when its kind, message and code, was not logged for a while. */
function createThrottle() {
  const kinds = new Map<string, { loggedAt: number; leftOut: number }>();
  return (args: Parameters<LogFn>): Parameters<LogFn> | undefined => {
    const [fields, message] = args as unknown as [{ err?: { code?: unknown } } | null, string?];
    if (typeof fields !== 'object' || !isTemporary(fields?.err)) return args;
    const kind = `${message} ${String(fields?.err?.code)}`;
    const known = kinds.get(kind);
    if (known && performance.now() - known.loggedAt < REPEAT_MS) {
      known.leftOut += 1;
      return undefined;
    }
    kinds.set(kind, { loggedAt: performance.now(), leftOut: 0 });
    const leftOut = known?.leftOut ? { left_out: known.leftOut } : {};
    return [{ ...fields, ...leftOut }, message] as unknown as Parameters<LogFn>;
  };
}

/** An error as a line of the log; trouble of PostgreSQL or Redis says nothing by its stack. */
function serialise(error: Error) {
  const { type, message, code, stack, command, ...rest } = pino.stdSerializers.err(error) as ReturnType<
    typeof pino.stdSerializers.err
  > & { code?: unknown; command?: { name?: unknown } };
  // knex puts the whole statement in front of what the server said.
  if (isTemporary(error)) return { type, message: message.split(' - ').at(-1), code };
  // PostgreSQL quotes whole rows in `detail`, and with them what people wrote; ioredis hands over a refused command with
  // its arguments, a password among them.
  return { type, message, code, stack, command: command?.name, ...rest, detail: undefined };
}

/**
 * The process's logger; children carry request and socket ids. Storage trouble that many callers meet is one line
 * every ten seconds for each kind: the metrics count each.
 */
export function createLogger(level: string, bindings: Record<string, string> = {}): Logger {
  const throttle = createThrottle();
  const options: LoggerOptions = {
    level,
    base: bindings,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: serialise },
    hooks: {
      logMethod(args, method) {
        const spoken = throttle(args);
        if (spoken) method.apply(this, spoken);
      },
    },
    redact: {
      paths: ['token', 'access_token', '*.token', '*.access_token', '*.authorization'],
      censor: '[redacted]',
    },
  };
  // Not pino's own destination: when nobody reads the log any more, that one tries again for ever and blocks the process.
  return pino(options, process.stdout);
}
