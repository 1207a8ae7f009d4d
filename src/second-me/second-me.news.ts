/** News of invocations, to this node and to all others: one has finished, one is to be cancelled. May be lost. */
import { EventEmitter } from 'node:events';
import { z } from 'zod';
import { InvocationId } from '../contract/primitives.ts';
import { onNews } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';

const News = z.object({ invocation_id: InvocationId });
const NAMES = ['secondme.finished', 'secondme.cancel'] as const;
type NewsName = (typeof NAMES)[number];

export type SecondMeNews = ReturnType<typeof createSecondMeNews>;

/** The news of one node; the service and the job of a process share it. */
export function createSecondMeNews(rooms: RoomsNamespace, log: Logger) {
  const here = new EventEmitter().setMaxListeners(0);
  for (const name of NAMES) {
    onNews<unknown>(rooms, name, log, (given) => {
      here.emit(name, News.parse(given).invocation_id);
    });
  }
  return {
    on: (name: NewsName, listener: (invocationId: string) => void) => void here.on(name, listener),
    tell(name: NewsName, invocationId: string): void {
      here.emit(name, invocationId);
      rooms.serverSideEmit(name, { invocation_id: invocationId } as never);
    },
  };
}
