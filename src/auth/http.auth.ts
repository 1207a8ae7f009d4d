/** The caller behind a REST request. */
import type { Request } from 'express';
import type { RestName } from '../contract/rest.ts';
import type { Erasures } from '../me/erasures.ts';
import { AppError } from '../platform/errors.ts';
import type { Users } from '../users/users.service.ts';
import type { Caller } from './caller.ts';
import type { Logouts } from './logouts.ts';
import type { Tokens } from './tokens.ts';

/**
 * Verifies the bearer token of a request. Who is being erased may only ask for that again.
 * @throws AppError unauthenticated; conflict while the caller is being erased
 */
export function createHttpAuth({
  tokens,
  users,
  logouts,
  erasures,
}: {
  tokens: Tokens;
  users: Users;
  logouts: Logouts;
  erasures: Erasures;
}) {
  return async (request: Request, name: RestName): Promise<Caller> => {
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (token === undefined) throw new AppError('unauthenticated', 'Send Authorization: Bearer <token>.');
    const caller = await tokens.verify(token);
    if (name === 'eraseMe' && erasures.isErasing(caller)) return caller;
    logouts.check(caller);
    erasures.check(caller);
    users.remember(caller);
    return caller;
  };
}
