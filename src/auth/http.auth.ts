/** The caller behind a REST request. */
import type { Request } from 'express';
import { AppError } from '../platform/errors.ts';
import type { Users } from '../users/users.service.ts';
import type { Caller } from './caller.ts';
import type { Logouts } from './logouts.ts';
import type { Tokens } from './tokens.ts';

/**
 * Verifies the bearer token of a request.
 * @throws AppError unauthenticated
 */
export function createHttpAuth({
  tokens,
  users,
  logouts,
}: {
  tokens: Tokens;
  users: Users;
  logouts: Logouts;
}) {
  return async (request: Request): Promise<Caller> => {
    const [, token] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    if (token === undefined) throw new AppError('unauthenticated', 'Send Authorization: Bearer <token>.');
    const caller = await tokens.verify(token);
    logouts.check(caller);
    users.remember(caller);
    return caller;
  };
}
