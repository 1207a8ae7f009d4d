/** Who is being erased, and whose tokens are void since: as every node knows it within a second, Redis or not. */
import { randomBytes } from 'node:crypto';
import type { Caller } from '../auth/caller.ts';
import type { Erasing } from '../contract/me.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import { onNews } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import { beginErasure, erasuresSince, hashOf } from './erasures.repo.ts';

const LOOK_EVERY_MS = 1_000;
/** How much later than its time an erasure may be committed. */
const MARGIN_MS = 30_000;
export const ERASURE_NEWS = 'erasure';

interface ErasuresDeps {
  db: Db;
  namespace: RoomsNamespace;
  log: Logger;
}

interface Known {
  /** From when on the user's tokens count, milliseconds since the epoch. */
  line: number;
  /** The user's id while it is under way. */
  erasing: string | null;
  requested_at: string;
}

export type Erasures = ReturnType<typeof createErasures>;

/** As with logouts the truth is a row, and a node keeps all of them in memory; here by the hash of the user's id. */
export function createErasures({ db, namespace, log }: ErasuresDeps) {
  const known = new Map<string, Known>();
  const listeners: ((userId: string) => void)[] = [];
  let newest = 0;

  const knownOf = (userId: string) => (known.size === 0 ? undefined : known.get(hashOf(userId)));

  const look = async () => {
    for (const erasure of await erasuresSince(db, new Date(newest - MARGIN_MS).toISOString())) {
      const line = Date.parse(erasure.tokens_not_before);
      const before = known.get(erasure.user_hash);
      newest = Math.max(newest, Date.parse(erasure.touched_at));
      if (before && (line < before.line || (line === before.line && before.erasing === erasure.user_id))) {
        continue;
      }
      const { user_id: erasing, requested_at } = erasure;
      known.set(erasure.user_hash, { line, erasing, requested_at });
      const userId = erasure.user_id ?? before?.erasing;
      if (userId != null) for (const listener of listeners) listener(userId);
    }
  };

  const isErasing = ({ id }: Caller): boolean => knownOf(id)?.erasing != null;

  return {
    isErasing,

    /** Whether the caller is to be let in: is not being erased, with a token that is younger than their erasure. */
    admits(caller: Caller): boolean {
      const erasure = knownOf(caller.id);
      return !erasure || (erasure.erasing === null && caller.issuedAt >= erasure.line);
    },

    /** @throws AppError unauthenticated when the token is older than an erasure; conflict while one is under way */
    check(caller: Caller): void {
      const erasure = knownOf(caller.id);
      if (!erasure) return;
      if (caller.issuedAt < erasure.line) throw new AppError('unauthenticated', 'This token was logged out.');
      if (erasure.erasing !== null) {
        throw new AppError('conflict', 'You are being erased; sign in again in a minute.');
      }
    },

    /**
     * Begins the caller's erasure, or finds the one under way: from here on nobody gets in as them, on the other nodes
     * as they hear of it.
     * @throws the PostgreSQL error (isTemporary)
     */
    async begin({ id }: Caller): Promise<Erasing> {
      const underWay = knownOf(id);
      if (underWay && underWay.erasing !== null) {
        return { status: 'erasing', requested_at: underWay.requested_at };
      }
      const { requested_at } = await beginErasure(db, id, `u_erased_${randomBytes(10).toString('hex')}`);
      await look();
      namespace.serverSideEmit(ERASURE_NEWS, null as never);
      return { status: 'erasing', requested_at };
    },

    /** Calls `then` with the user when this node learns that their erasure has begun, and that it is finished. */
    onChange: (then: (userId: string) => void): void => void listeners.push(then),

    /** Learns all there is, then keeps looking until the returned function is called. */
    async start(): Promise<() => Promise<void>> {
      await look();
      onNews(namespace, ERASURE_NEWS, log, look);
      return startLoop(LOOK_EVERY_MS, look, log, 'erasures cannot be looked for');
    },
  };
}
