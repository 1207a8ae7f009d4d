/**
 * How far every node has delivered the log of its rooms, for the inspector. A question is news to all nodes, and so
 * are the answers; nobody waits for them. What a node heard it keeps for seconds, so that whoever asks once a second
 * sees all nodes from the second answer on. While nobody asks nothing of this runs.
 */
import { NodeReport } from '../contract/inspect.ts';
import type { InspectedRooms, RoomCursor } from '../contract/inspect.ts';
import type { Db } from '../platform/db.ts';
import { rows } from '../platform/db.ts';
import { onNews } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import { readHeads } from '../room-log/log.repo.ts';
import type { RoomLog } from '../room-log/room-log.ts';

const ASK = 'inspect.ask';
const REPORT = 'inspect.report';
const ROOMS_MAX = 100;
/** Milliseconds: how long a report counts, and the least time between two of a node, however many ask. */
const FRESH_MS = 5_000;
const PACE_MS = 250;

interface InspectDeps {
  db: Db;
  rooms: RoomsNamespace;
  roomLog: RoomLog;
  /** What this node is called: host and port. */
  name: () => string;
  log: Logger;
}

export type Inspect = ReturnType<typeof createInspect>;

export function createInspect({ db, rooms, roomLog, name, log }: InspectDeps) {
  /** What other nodes reported last, by node; times are monotonic. */
  const heard = new Map<string, { report: NodeReport; heardAt: number }>();
  let reportedAt = -Infinity;

  const busiest = (): RoomCursor[] =>
    roomLog
      .cursors()
      .sort((a, b) => b.subscribers - a.subscribers)
      .slice(0, ROOMS_MAX);
  const report = (): NodeReport => ({ node: name(), at: new Date().toISOString(), rooms: busiest() });

  const forgetStale = () => {
    for (const [node, { heardAt }] of heard) {
      if (performance.now() - heardAt > FRESH_MS) heard.delete(node);
    }
  };

  return {
    /** What is known now, and the question for next time. @throws AppError unavailable without PostgreSQL */
    async rooms(named?: string): Promise<InspectedRooms> {
      rooms.serverSideEmit(ASK, null as never);
      forgetStale();
      const own = report();
      const nodes = [own, ...[...heard.values()].map((other) => other.report)];
      const ids = new Set(nodes.flatMap((node) => node.rooms.map(({ room_id }) => room_id)));
      if (named !== undefined) ids.add(named);
      // After the reports: what is stored is never behind what was delivered.
      const heads = await readHeads(db, [...ids]);
      const [clock] = await rows<{ at: string }>(db, 'select clock_timestamp() at');
      return {
        node: own.node,
        at: clock!.at,
        heads: heads.map(({ room_id, last_seq, last_change_seq }) => ({
          room_id,
          seq: last_seq,
          change_seq: last_change_seq,
        })),
        nodes: nodes.sort((a, b) => a.node.localeCompare(b.node)),
      };
    },

    start(): void {
      onNews(rooms, ASK, log, () => {
        if (performance.now() - reportedAt < PACE_MS) return;
        reportedAt = performance.now();
        rooms.serverSideEmit(REPORT, report() as never);
      });
      onNews<unknown>(rooms, REPORT, log, (news) => {
        const other = NodeReport.parse(news);
        heard.set(other.node, { report: other, heardAt: performance.now() });
        forgetStale();
      });
    },
  };
}
