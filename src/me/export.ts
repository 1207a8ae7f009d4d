/** GET /me/export: one JSON object of lists, read page by page as fast as the reader takes it. */
import type { Caller } from '../auth/caller.ts';
import { AppError } from '../platform/errors.ts';
import type { Section, Stores } from './personal-data.ts';

/** When to try again while another is under way. */
const RETRY_MS = 5_000;

/** Characters that are collected before any are sent: what is small comes whole or is refused. */
const PIECE = 16 * 1024;

export type Exports = ReturnType<typeof createExports>;

/**
 * Each page is a query of its own: no transaction is held open for a slow reader, hence the lists are not of one
 * moment. Memory is that of a page, however long the history.
 */
export function createExports({ sections, ...stores }: Stores & { sections: readonly Section[] }) {
  const stop = new AbortController();
  const underWay = new Set<string>();

  async function* write({ id }: Caller): AsyncGenerator<string> {
    try {
      let text = `{"user_id":${JSON.stringify(id)},"exported_at":${JSON.stringify(new Date())}`;
      for (const { name, pages } of sections) {
        text += `,\n${JSON.stringify(name)}:[`;
        let first = true;
        for await (const page of pages(stores, id)) {
          for (const item of page) {
            text += (first ? '' : ',\n') + JSON.stringify(item);
            first = false;
          }
          if (text.length < PIECE) continue;
          yield text;
          text = '';
        }
        text += ']';
      }
      yield `${text}}\n`;
    } finally {
      underWay.delete(id);
    }
  }

  return {
    /**
     * The pieces of the caller's export; whoever takes it has to end it.
     * @throws AppError rate_limited while another of the caller's is under way on this node
     */
    begin(caller: Caller): { pieces: AsyncGenerator<string>; signal: AbortSignal } {
      if (underWay.has(caller.id)) {
        const message = 'An export of yours is under way; read it to its end first.';
        throw new AppError('rate_limited', message, { retryAfterMs: RETRY_MS });
      }
      underWay.add(caller.id);
      return { pieces: write(caller), signal: stop.signal };
    },

    /** Breaks off what is under way: a node that goes away waits for no reader. */
    stop: (): void => stop.abort(),
  };
}
