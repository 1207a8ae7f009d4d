/** News of invocations, to this node and to all others: one has finished, one is to be cancelled. May be lost. */
import { EventEmitter } from 'node:events';
import { z } from 'zod';
import { InvocationId } from '../contract/primitives.ts';
import type { Invocation } from '../contract/second-me.ts';
import { onNews } from '../platform/io.ts';
import type { RoomsNamespace } from '../platform/io.ts';
import type { Logger } from '../platform/logger.ts';

/** `others` came later: a node that does not know them finds those by its polls. */
const News = z.object({ invocation_id: InvocationId, others: z.array(InvocationId).optional() });
const NAMES = ['secondme.finished', 'secondme.cancel'] as const;
type NewsName = (typeof NAMES)[number];

/** Tells `sockets` how an invocation ended: its status and, unless it was cancelled, its reply. */
export function tellEnd(sockets: Pick<RoomsNamespace, 'emit'>, end: Omit<Invocation, 'created_at'>): void {
  const { invocation_id, status } = end;
  sockets.emit('secondme.status', { invocation_id, status });
  if (status !== 'cancelled') sockets.emit('secondme.reply', end);
}

export type SecondMeNews = ReturnType<typeof createSecondMeNews>;

/** The news of one node; the service and the job of a process share it. */
export function createSecondMeNews(rooms: RoomsNamespace, log: Logger) {
  const here = new EventEmitter().setMaxListeners(0);
  /** What the other nodes are told at the end of this turn: those that end together are one message. */
  const untold = new Map<NewsName, string[]>();

  for (const name of NAMES) {
    onNews<unknown>(rooms, name, log, (given) => {
      const { invocation_id, others = [] } = News.parse(given);
      for (const id of [invocation_id, ...others]) here.emit(name, id);
    });
  }

  const tellOthers = (name: NewsName) => {
    const [invocation_id, ...others] = untold.get(name)!;
    untold.delete(name);
    const news = others.length > 0 ? { invocation_id, others } : { invocation_id };
    rooms.serverSideEmit(name, news as never);
  };

  return {
    on: (name: NewsName, listener: (invocationId: string) => void) => void here.on(name, listener),
    tell(name: NewsName, invocationId: string): void {
      here.emit(name, invocationId);
      const waiting = untold.get(name);
      if (waiting) return void waiting.push(invocationId);
      untold.set(name, [invocationId]);
      setImmediate(tellOthers, name);
    },
  };
}
