/** Signs tokens for development, as the city of this environment will accept them. */
import type { Role } from '../src/contract/auth.ts';
import { DEVELOPMENT_SECRET } from '../src/auth/secret.ts';
import { createTokens } from '../src/auth/tokens.ts';

/** JWT_SECRET, or the development secret when that is not set. */
export const developmentSecret = () => process.env.JWT_SECRET || DEVELOPMENT_SECRET;

/** A token (HS256) with these claims that is valid for `hours`. */
export async function developmentToken(
  claims: { user_id: string; name?: string; roles?: Role[] },
  hours: number,
): Promise<string> {
  const tokens = createTokens({
    key: { kind: 'secret', secret: developmentSecret() },
    issuer: process.env.JWT_ISSUER || undefined,
    audience: process.env.JWT_AUDIENCE || undefined,
  });
  return (await tokens.sign(claims, Math.round(hours * 3600))).token;
}
