/** Who is calling, as a verified token says. */
import type { Role } from '../contract/auth.ts';

export interface Caller {
  /** `u_…`, or `svc_…` for a service. */
  readonly id: string;
  /** The display name in the token; undefined where it has none. */
  readonly name: string | undefined;
  readonly roles: readonly Role[];
  /** When the token was issued, milliseconds since the epoch; 0 where it does not say. */
  readonly issuedAt: number;
  /** When the token ends, milliseconds since the epoch. */
  readonly expiresAt: number;
}
