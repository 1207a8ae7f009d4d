/** News of invocations, to this node and to all others: one has finished, one is to be cancelled. May be lost. */
import { EventEmitter } from 'node:events';
import { z } from 'zod';
import { InvocationId } from '../contract/primitives.ts';
import type { RoomsNamespace } from '../platform/io.ts';

const News = z.object({ invocation_id: InvocationId });
const NAMES = ['secondme.finished', 'secondme.cancel'] as const;
type NewsName = (typeof NAMES)[number];

export type SecondMeNews = ReturnType<typeof createSecondMeNews>;

/** The news of one node; the service and the job of a process share it. */
export function createSecondMeNews(rooms: RoomsNamespace) {
  const here = new EventEmitter().setMaxListeners(0);
  for (const name of NAMES) {
    const receive = (given: unknown) => {
      const news = News.safeParse(given);
      if (news.success) here.emit(name, news.data.invocation_id);
    };
    rooms.on(name as never, receive as never);
  }
  return {
    on: (name: NewsName, listener: (invocationId: string) => void) => void here.on(name, listener),
    tell(name: NewsName, invocationId: string): void {
      here.emit(name, invocationId);
      rooms.serverSideEmit(name, { invocation_id: invocationId } as never);
    },
  };
}
