/** The public key of a deployment, and the one algorithm that goes with it. */
import { createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

const RSA_MIN_BITS = 2048;

/** @throws Error saying in a few words what is wrong with `pem` */
export function readPublicKey(pem: string): { key: KeyObject; algorithm: 'RS256' | 'ES256' | 'EdDSA' } {
  if (pem.includes('PRIVATE KEY')) throw new Error('must be a public key, not a private one');
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new Error('must be a PEM public key');
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'rsa' && (details?.modulusLength ?? 0) >= RSA_MIN_BITS) return { key, algorithm: 'RS256' };
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return { key, algorithm: 'ES256' };
  if (type === 'ed25519') return { key, algorithm: 'EdDSA' };
  throw new Error('must be RSA of at least 2048 bits (RS256), EC P-256 (ES256) or Ed25519 (EdDSA)');
}
