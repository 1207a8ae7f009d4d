/** Tokens: the roles they carry, refreshing one on a live socket, and the development token. */
import { z } from 'zod';
import { CallerId, text, Timestamp } from './primitives.ts';

export const Role = z.enum(['citizen', 'moderator', 'admin', 'service']);
export type Role = z.infer<typeof Role>;

export const NAME_MAX = 80;

export const DevToken = z.strictObject({
  user_id: CallerId,
  name: text(NAME_MAX).optional(),
  roles: z.array(Role).max(4).optional(),
});
export type DevToken = z.infer<typeof DevToken>;

export const IssuedToken = z.object({ token: z.string(), expires_at: Timestamp });

/** Tokens issued before this time are void. */
export const LoggedOut = z.object({ tokens_not_before: Timestamp });

export const RefreshToken = z.strictObject({
  token: z.string().regex(/^[\x21-\x7e]{1,8192}$/, 'printable ASCII'),
});
export const TokenExpiry = z.object({ expires_at: Timestamp });
