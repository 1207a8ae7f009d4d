/** Verifies tokens, and signs them in development. */
import { createRemoteJWKSet, errors, jwtVerify, SignJWT } from 'jose';
import type { JWTPayload, JWTVerifyGetKey, CryptoKey } from 'jose';
import { LRUCache } from 'lru-cache';
import type { TokenKey } from '../config.ts';
import { NAME_MAX, Role } from '../contract/auth.ts';
import { CallerId, isBlank } from '../contract/primitives.ts';
import { AppError } from '../platform/errors.ts';
import type { Caller } from './caller.ts';
import { readPublicKey } from './public-key.ts';

interface TokenSettings {
  key: TokenKey;
  issuer?: string | undefined;
  audience?: string | undefined;
}

export type Tokens = ReturnType<typeof createTokens>;

/** Tolerated skew of `nbf`, seconds. `exp` has none: at expiry live sockets are cut, so it must be exact. */
const SKEW_S = 30;
const MAX_LENGTH = 8192;

/** Tokens that were verified lately: to check a signature costs as much as the rest of a small request. */
const KEPT = 20_000;

const ASYMMETRIC = ['RS256', 'ES256', 'EdDSA'];
/** The end of the time that a Date can tell. */
const END_OF_TIME_MS = 8.64e15;
/** What jose throws when the key server, not the token, is at fault. */
const KEY_SERVER_FAULTS = ['ERR_JOSE_GENERIC', 'ERR_JWKS_INVALID', 'ERR_JWKS_TIMEOUT'];

/** jose takes the bytes too, and would import them anew for every token that it verifies. */
const hmacKey = (secret: string, use: 'sign' | 'verify'): Promise<CryptoKey> => {
  const bytes = new TextEncoder().encode(secret);
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, [use]);
};

function verification(key: TokenKey): { key: JWTVerifyGetKey; algorithms: string[] } {
  if (key.kind === 'jwks') {
    return { key: createRemoteJWKSet(new URL(key.url)), algorithms: ASYMMETRIC };
  }
  if (key.kind === 'public_key') {
    const { key: publicKey, algorithm } = readPublicKey(key.pem);
    return { key: async () => publicKey, algorithms: [algorithm] };
  }
  const secret = hmacKey(key.secret, 'verify');
  return { key: () => secret, algorithms: ['HS256'] };
}

const expired = (cause?: unknown) => new AppError('unauthenticated', 'The token has expired.', { cause });

function callerOf({ sub, iat, exp, name, roles }: JWTPayload): Caller {
  if (!CallerId.safeParse(sub).success)
    throw new AppError('unauthenticated', 'The token names no valid user.');
  const known = Array.isArray(roles) ? roles.filter((role) => Role.safeParse(role).success) : [];
  const text = typeof name === 'string' ? name.replace(/[\0\p{Cs}]/gu, '').trim() : '';
  return {
    id: sub!,
    name: isBlank(text) ? undefined : [...text].slice(0, NAME_MAX).join(''),
    roles: known.length > 0 ? (known as Role[]) : ['citizen'],
    issuedAt: typeof iat === 'number' ? iat * 1000 : 0,
    expiresAt: Math.min(exp! * 1000, END_OF_TIME_MS),
  };
}

/** Token verification with one algorithm family, and signing where the key is a secret. */
export function createTokens({ key, issuer, audience }: TokenSettings) {
  const { key: getKey, algorithms } = verification(key);
  // What passed once passes until it expires, since the key stays; only a key server may withdraw one.
  const verified = key.kind === 'jwks' ? undefined : new LRUCache<string, Caller>({ max: KEPT });

  const check = async (token: string): Promise<Caller> => {
    try {
      const { payload } = await jwtVerify(token, getKey, {
        algorithms,
        clockTolerance: SKEW_S,
        requiredClaims: ['exp', 'sub'],
        ...(issuer === undefined ? {} : { issuer }),
        ...(audience === undefined ? {} : { audience }),
      });
      return callerOf(payload);
    } catch (error) {
      if (error instanceof AppError) throw error;
      if (!(error instanceof errors.JOSEError) || KEY_SERVER_FAULTS.includes(error.code)) {
        throw new AppError('unavailable', 'Tokens cannot be checked right now.', { cause: error });
      }
      if (error instanceof errors.JWTExpired) throw expired(error);
      throw new AppError('unauthenticated', 'The token is not valid.', { cause: error });
    }
  };

  const checking = new Map<string, Promise<Caller>>();
  /** Both namespaces of a connection ask at once. */
  const checkOnce = (token: string): Promise<Caller> => {
    const asked = checking.get(token) ?? check(token).finally(() => checking.delete(token));
    checking.set(token, asked);
    return asked;
  };

  return {
    /**
     * The caller behind `token`.
     * @throws AppError unauthenticated; unavailable when the key server does not answer
     */
    async verify(token: unknown): Promise<Caller> {
      if (typeof token !== 'string' || token === '' || token.length > MAX_LENGTH) {
        throw new AppError('unauthenticated', 'A token is needed.');
      }
      const known = verified?.get(token);
      const caller = known ?? (await checkOnce(token));
      if (caller.expiresAt <= Date.now()) throw expired();
      if (!known) verified?.set(token, caller);
      return caller;
    },

    /** Signs a token for development; `lifetimeS` in seconds. */
    async sign(
      claims: { user_id: string; name?: string | undefined; roles?: Role[] | undefined },
      lifetimeS: number,
    ): Promise<{ token: string; expires_at: string }> {
      if (key.kind !== 'secret') throw new AppError('not_found', 'This deployment does not sign tokens.');
      const expires = Math.floor(Date.now() / 1000) + lifetimeS;
      const jwt = new SignJWT({ name: claims.name, roles: claims.roles })
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(claims.user_id)
        .setIssuedAt()
        .setExpirationTime(expires);
      if (issuer !== undefined) jwt.setIssuer(issuer);
      if (audience !== undefined) jwt.setAudience(audience);
      const token = await jwt.sign(await hmacKey(key.secret, 'sign'));
      return { token, expires_at: new Date(expires * 1000).toISOString() };
    },
  };
}
