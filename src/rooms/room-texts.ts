/** Rooms as JSON text: what all callers see of one is encoded once, and finished for each of them. */
import { LRUCache } from 'lru-cache';
import type { Db } from '../platform/db.ts';
import { readFaces } from './rooms.repo.ts';
import type { RoomState } from './rooms.repo.ts';

/** Kept so long at most, although every change of a row changes its version. */
const KEPT_MS = 60_000;

export type RoomTexts = ReturnType<typeof createRoomTexts>;

/**
 * The text of a room up to what is the caller's: finish it with `endOfRoom`. Exact as `state` is: what changes
 * seldom is kept by the version of its row, which no other state of that row ever has.
 */
export function createRoomTexts(db: Db) {
  const faces = new LRUCache<string, { version: string; text: string }>({ max: 5_000, ttl: KEPT_MS });

  return {
    /** The beginnings of `rooms`, by id; a room that has gone meanwhile is missing. */
    async beginnings(rooms: RoomState[], online: ReadonlyMap<string, number>): Promise<Map<string, string>> {
      const unknown = rooms.filter(({ id, version }) => faces.get(id)?.version !== version);
      const read = new Map<string, string>();
      if (unknown.length > 0) {
        for (const { version, ...face } of await readFaces(
          db,
          unknown.map(({ id }) => id),
        )) {
          const text = JSON.stringify(face).slice(0, -1);
          faces.set(face.id, { version, text });
          read.set(face.id, text);
        }
      }
      const texts = new Map<string, string>();
      for (const { id, version, last_seq, last_change_seq, last_event_ms } of rooms) {
        const known = faces.get(id);
        const face = read.get(id) ?? (known?.version === version ? known.text : undefined);
        if (face === undefined) continue;
        const last_event = last_event_ms === null ? 'null' : `"${new Date(last_event_ms).toISOString()}"`;
        texts.set(
          id,
          `${face},"members_online":${online.get(id) ?? 0},"last_event":${last_event},` +
            `"last_seq":${last_seq},"last_change_seq":${last_change_seq},`,
        );
      }
      return texts;
    },
  };
}

/** The rest of a room, which is the caller's. */
export const endOfRoom = (joined: boolean, unread: number): string =>
  `"joined":${joined},"unread":${Math.max(0, unread)}}`;
