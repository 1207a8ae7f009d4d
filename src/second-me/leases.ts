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

export function createLeases({ db, log, leaseMs, renewMs }: LeasesDeps) {
  /** What is told when a claim turns out to be another's. */
  const held = new Map<Claim, () => void>();
  let beat: NodeJS.Timeout | undefined;

  /** One whose row somebody has locked waits for it alone: the others must not run out meanwhile. */
  const renewAlone = async (claim: Claim) => {
    const renewed = await renewLease(db, claim, leaseMs);
    if (!renewed) held.get(claim)?.();
  };

  const renewAll = async () => {
    const claims = [...held.keys()];
    const renewed = await renewLeases(db, claims, leaseMs);
    const rest = claims.filter((_claim, n) => !renewed[n]);
    await Promise.all(rest.map(renewAlone));
  };

  return {
    /** Renews the lease of `claim` until the returned function is called; `onLost` may be called meanwhile. */
    hold(claim: Claim, onLost: () => void): () => void {
      held.set(claim, onLost);
      // One that is late keeps no later one waiting: each takes a connection of its own.
      beat ??= setInterval(() => {
        renewAll().catch((error: unknown) => log.debug({ err: error }, 'leases were not renewed'));
      }, renewMs);
      return () => {
        held.delete(claim);
        if (held.size > 0) return;
        clearInterval(beat);
        beat = undefined;
      };
    },
  };
}
