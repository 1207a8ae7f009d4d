/** The room log: one writer and one sequencer a node, joined so that what is committed is delivered. */
import type { Message } from '../contract/messages.ts';
import type { Db } from '../platform/db.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';
import type { Metrics } from '../platform/metrics.ts';
import { createSequencer } from './sequencer.ts';
import { createWriter } from './writer.ts';

interface RoomLogDeps {
  db: Db;
  /** The pool that batches are committed on. */
  writerDb: Db;
  rooms: RoomsNamespace;
  log: Logger;
  metrics: Metrics;
  /** Called soon after every commit of this node, for those who follow the log outside of rooms; must not throw. */
  onCommitted(messages: Message[]): void;
}

export type RoomLog = ReturnType<typeof createRoomLog>;

export function createRoomLog({ onCommitted, writerDb, ...deps }: RoomLogDeps) {
  const sequencer = createSequencer(deps);
  const writer = createWriter({
    ...deps,
    db: writerDb,
    onCommitted: (messages) => {
      sequencer.announce(messages);
      onCommitted(messages);
    },
  });
  return {
    append: writer.append,
    refused: writer.refused,
    join: sequencer.join,
    recall: sequencer.recall,
    leave: sequencer.leave,
    cursors: sequencer.cursors,
    start: sequencer.start,
    /** Resolves when what was accepted is committed and told, or refused, and the poll has ended. */
    async stop(): Promise<void> {
      await writer.settled();
      await sequencer.stop();
    },
  };
}
