/** Values that look right and turn out wrong at the start: one readable line, as for those that the configuration refuses. */
import { ConfigError } from './config.ts';
import { refusesUrl } from './platform/redis.ts';

/** SQLSTATEs: there is no such database; the role may not connect, or not with this password. */
const DATABASE_STATE = /^(3D000|28000|28P01)$/;

/** What the failed attempt to use a value says about it; undefined when it says nothing. */
type Explain = (error: {
  message: string;
  code?: string;
  syscall?: string;
  port?: number;
}) => string | undefined;

/** Of a database that answers. pg itself finds that a password is missing. */
export const wrongDatabase: Explain = ({ code = '', message }) =>
  DATABASE_STATE.test(code) || message.startsWith('SASL: ') ? message : undefined;

/** Of a Redis that answers. */
export const wrongRedis: Explain = (error) => {
  if (!refusesUrl(error)) return undefined;
  return error.message.startsWith('NOAUTH') ? 'Redis wants a password' : error.message;
};

export const wrongPort: Explain = ({ code, syscall, port }) => {
  if (syscall !== 'listen') return undefined;
  return code === 'EADDRINUSE' ? `${port} is in use` : `${port} cannot be used (${code})`;
};

/**
 * What `attempt` resolves with.
 * @throws ConfigError about the variable `name` when `explain` finds that its value is what is wrong
 */
export async function using<T>(name: string, explain: Explain, attempt: Promise<T>): Promise<T> {
  try {
    return await attempt;
  } catch (error) {
    const problem = explain(error as Error);
    throw problem === undefined ? error : new ConfigError(`${name}: ${problem}`, { cause: error });
  }
}
