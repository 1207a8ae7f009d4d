/** Which pages may talk to this server. */
import type { IncomingMessage } from 'node:http';

const LOCALHOST = /^(localhost|127\.0\.0\.1|\[::1\]|[a-z0-9-]+\.localhost)$/i;

/** The configured origins; without any, the server's own, and any localhost outside production. */
export function createOrigins({ allowed, production }: { allowed: string[]; production: boolean }) {
  const allows = (origin: string): boolean => {
    if (allowed.length > 0) return allowed.includes(origin);
    return !production && URL.canParse(origin) && LOCALHOST.test(new URL(origin).hostname);
  };
  return {
    /** Whether pages of `origin` may read answers. */
    allows,
    /** Whether a handshake may go on: no Origin (not a browser), the server's own, or an allowed one. */
    admits({ headers }: IncomingMessage): boolean {
      const { origin, host } = headers;
      if (origin === undefined || allows(origin)) return true;
      return allowed.length === 0 && URL.canParse(origin) && new URL(origin).host === host;
    },
  };
}
