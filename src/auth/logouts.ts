/** Logging out everywhere: which tokens are void, as every node knows it within a second or so, Redis or not. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import { onNews } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import type { Caller } from './caller.ts';
import { logOut, logoutsSince } from './logouts.repo.ts';

const LOOK_EVERY_MS = 1_000;
/** How much later than its time a logout may be committed. */
const MARGIN_MS = 30_000;
/** A token is signed by another clock than the database's. */
const CLOCK_MS = 20;
const NEWS = 'logout';

interface LogoutsDeps {
  db: Db;
  namespace: RoomsNamespace;
  log: Logger;
}

export type Logouts = ReturnType<typeof createLogouts>;

/**
 * The truth is a row; a node keeps all of them in memory (a few dozen bytes a user who ever logged out everywhere),
 * so that a check costs nothing and goes on without PostgreSQL. News of another node only makes it look at once.
 */
export function createLogouts({ db, namespace, log }: LogoutsDeps) {
  /** From when on the tokens of a user count, milliseconds since the epoch. */
  const lines = new Map<string, number>();
  let listener: (userId: string) => void = () => {};
  let newest = 0;

  const learn = (userId: string, line: number) => {
    if (line <= (lines.get(userId) ?? 0)) return;
    lines.set(userId, line);
    listener(userId);
  };

  const look = async () => {
    for (const logout of await logoutsSince(db, new Date(newest - MARGIN_MS).toISOString())) {
      const line = Date.parse(logout.tokens_not_before);
      learn(logout.user_id, line);
      newest = Math.max(newest, line);
    }
  };

  const isVoid = ({ id, issuedAt }: Caller): boolean => issuedAt < (lines.get(id) ?? 0);

  return {
    /** Whether the caller's token was issued before its user logged out everywhere. */
    isVoid,

    /** @throws AppError unauthenticated when the caller's token is void */
    check(caller: Caller): void {
      if (isVoid(caller)) throw new AppError('unauthenticated', 'This token was logged out.');
    },

    /**
     * Makes every token void that the caller was issued so far, here at once and on the other nodes as they hear of
     * it; resolves when a token that is issued from then on counts, which is within a second.
     * @throws the PostgreSQL error (isTemporary)
     */
    async everywhere({ id }: Caller): Promise<{ tokens_not_before: string }> {
      const { tokens_not_before, wait_ms } = await logOut(db, id);
      learn(id, Date.parse(tokens_not_before));
      namespace.serverSideEmit(NEWS, null as never);
      await sleep(Math.max(0, wait_ms) + CLOCK_MS);
      return { tokens_not_before };
    },

    /** Calls `then` with the user of every logout that this node learns of. */
    onLogout(then: (userId: string) => void): void {
      listener = then;
    },

    /** Learns all there is, then keeps looking until the returned function is called. */
    async start(): Promise<() => Promise<void>> {
      await look();
      onNews(namespace, NEWS, log, look);
      return startLoop(LOOK_EVERY_MS, look, log, 'logouts cannot be looked for');
    },
  };
}
