/**
 * Ends of invocations that the sockets of this node have not heard of: they are found in PostgreSQL and told here.
 *
 * An end is told once, by Redis, to all nodes; it is lost when Redis is away, or with a worker that dies between the
 * commit and the telling. `secondme.finished` follows it, so a node that got that has told its sockets. What has ended by
 * one look and of which nothing was heard until the next is told by the node itself.
 */
import { encodeTime } from 'ulid';
import type { Db } from '../platform/db.ts';
import { userChannel } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { startLoop } from '../platform/loop.ts';
import type { RedisLinks } from '../platform/redis.ts';
import { tellEnd } from './second-me.news.ts';
import type { SecondMeNews } from './second-me.news.ts';
import { findEnds, findOpenOrNewer, readTime } from './second-me.repo.ts';

/** How long an invocation may be under way from the clock of its node to where others see it, milliseconds. */
const UNSEEN_MS = 10_000;

interface MissedEndsDeps {
  db: Db;
  rooms: RoomsNamespace;
  redis: RedisLinks;
  news: SecondMeNews;
  log: Logger;
  /** How often the rows are looked at, milliseconds: what is missed is told within twice that. */
  pollMs?: number;
}

/** The ids of invocations that are made from `time` on are greater. */
const idsSince = (time: number) => `sminv_${encodeTime(time, 10)}`;

export function createMissedEnds({ db, rooms, redis, news, log, pollMs = 2_000 }: MissedEndsDeps) {
  const bornAt = Date.now();
  /**
   * Ids greater than this may be of invocations that were made since the last look. It never goes back, whatever this
   * node's clock does: what was heard of below it is forgotten.
   */
  let since = idsSince(bornAt);
  /** What ended before, by the clock of the database, is no business of this node, whatever the clock of its id said. */
  let begin = '';
  /** Unfinished at the last look. */
  let open = new Set<string>();
  /** Finished at the last look, and not heard of. */
  let late = new Set<string>();
  /** Those of which the sockets here know, as long as a look may find them. */
  const heard = new Set<string>();

  news.on('secondme.finished', (id) => {
    late.delete(id);
    heard.add(id);
  });

  const tellLate = async () => {
    if (late.size === 0) return;
    for (const { user_id, ...end } of await findEnds(db, [...late])) {
      // It may have been heard of while the rows were read.
      if (heard.has(end.invocation_id)) continue;
      heard.add(end.invocation_id);
      tellEnd(rooms.local.to(userChannel(user_id)), end);
    }
  };

  const look = async () => {
    // A Redis that hangs may still deliver what it was given: this fails until it is known to be well or away.
    if (redis.isUp()) await redis.commands.ping();
    await tellLate();
    const next = idsSince(Math.max(bornAt, Date.now() - UNSEEN_MS));
    const found = await findOpenOrNewer(db, since, begin);
    const unfinished = new Set(found.filter(({ finished }) => !finished).map(({ id }) => id));
    const unheard = [...open, ...found.map(({ id }) => id)].filter((id) => !heard.has(id));
    late = new Set(unheard.filter((id) => !unfinished.has(id)));
    open = new Set(unheard.filter((id) => unfinished.has(id)));
    if (next > since) since = next;
    for (const id of heard) if (id < since) heard.delete(id);
  };

  let stop = async () => {};
  return {
    async start(): Promise<void> {
      begin = await readTime(db);
      stop = startLoop(pollMs, look, log, 'ends of invocations are not looked for');
    },
    stop: () => stop(),
  };
}
