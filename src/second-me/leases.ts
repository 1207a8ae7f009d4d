/** Renews the leases of all invocations that this process works on, in one statement for all of them. */
import type { Db } from '../platform/db.ts';
import type { Logger } from '../platform/logger.ts';
import { renewLease, renewLeases } from './work.repo.ts';
import type { Claim } from './work.repo.ts';

interface LeasesDeps {
  db: Db;
  log: Logger;
  /** How long a renewed lease runs, milliseconds. */
  leaseMs: number;
  /** How often leases are renewed, milliseconds. */
  renewMs: number;
}

interface Held {
  /** When the last renewal that succeeded was asked for; monotonic, milliseconds. */
  renewedAt: number;
  onLost: () => void;
}

export type Lease = ReturnType<ReturnType<typeof createLeases>['hold']>;

export function createLeases({ db, log, leaseMs, renewMs }: LeasesDeps) {
  const held = new Map<Claim, Held>();
  let beat: NodeJS.Timeout | undefined;

  const renewed = (claim: Claim, askedAt: number) => {
    const lease = held.get(claim);
    // An earlier one may be answered later.
    if (lease) lease.renewedAt = Math.max(lease.renewedAt, askedAt);
  };

  /** One whose row somebody has locked waits for it alone: the others must not run out meanwhile. */
  const renewAlone = async (claim: Claim) => {
    const askedAt = performance.now();
    if (await renewLease(db, claim, leaseMs)) renewed(claim, askedAt);
    else held.get(claim)?.onLost();
  };

  const renewAll = async () => {
    const claims = [...held.keys()];
    const askedAt = performance.now();
    const outcomes = await renewLeases(db, claims, leaseMs);
    const rest = claims.filter((_claim, n) => !outcomes[n]);
    claims.filter((_claim, n) => outcomes[n]).forEach((claim) => renewed(claim, askedAt));
    await Promise.all(rest.map(renewAlone));
  };

  return {
    /**
     * Renews the lease of `claim`, which was asked for at `askedAt` (performance.now()), until it is let go; `onLost` may
     * be called meanwhile.
     */
    hold(claim: Claim, askedAt: number, onLost: () => void) {
      const lease: Held = { renewedAt: askedAt, onLost };
      held.set(claim, lease);
      // One that is late keeps no later one waiting: each takes a connection of its own.
      beat ??= setInterval(() => {
        renewAll().catch((error: unknown) => log.debug({ err: error }, 'leases were not renewed'));
      }, renewMs);
      return {
        /** Whether the lease cannot have run out since it was renewed, for all that this process's clock says. */
        isFresh: () => performance.now() - lease.renewedAt < leaseMs,
        letGo(): void {
          held.delete(claim);
          if (held.size > 0) return;
          clearInterval(beat);
          beat = undefined;
        },
      };
    },
  };
}
