/** The list of rooms as JSON: one read for everybody who asks for the same page at the same time. */
import { LRUCache } from 'lru-cache';
import { createBatcher } from '../platform/batcher.ts';
import type { Db } from '../platform/db.ts';
import type { Occupancy } from '../presence/occupancy.ts';
import { readPage } from './rooms.repo.ts';
import type { RoomsOfUser, RoomState } from './rooms.repo.ts';
import { endOfRoom } from './room-texts.ts';
import type { RoomTexts } from './room-texts.ts';

/** How old the numbers of who is online may be; the contract allows a second. */
const COUNTS_MS = 400;
/** Pages that are kept from one read to the next. */
const PAGES = 100;

interface Asked {
  userId: string;
  limit: number;
  offset: number;
}

/** A page as text, but for what is each caller's. */
interface Page {
  /** The line that it was encoded from, and the rooms in it. */
  line: string;
  rooms: RoomState[];
  places: ReadonlyMap<string, number>;
  /** The rooms' texts in their order: up to the caller's part, and whole for a caller who is in none of them. */
  beginnings: string[];
  strangers: string[];
  countedAt: number;
}

const stateOf = (entry: string): RoomState => {
  const [id, version, last_seq, last_change_seq, last_event_ms] = entry.split(' ');
  return {
    id: id!,
    version: version!,
    last_seq: Number(last_seq),
    last_change_seq: Number(last_change_seq),
    last_event_ms: last_event_ms === undefined ? null : Number(last_event_ms),
  };
};

/** The page for one caller. */
function finish({ rooms, places, beginnings, strangers }: Page, mine: RoomsOfUser | undefined): string {
  if (!mine) return `[${strangers.join(',')}]`;
  const texts = strangers.slice();
  for (const id of new Set([...mine.joined, ...mine.read.keys()])) {
    const place = places.get(id);
    if (place === undefined) continue;
    const unread = rooms[place]!.last_seq - (mine.read.get(id) ?? 0);
    texts[place] = beginnings[place] + endOfRoom(mine.joined.has(id), unread);
  }
  return `[${texts.join(',')}]`;
}

/**
 * Lists rooms for a caller, as a JSON array. All of it is read after the call, except how many are online, which is
 * at most COUNTS_MS old.
 */
export function createRoomList(deps: { db: Db; occupancy: Occupancy; texts: RoomTexts }) {
  const { db, occupancy, texts } = deps;
  const pages = new LRUCache<string, Page>({ max: PAGES });
  const keyOf = ({ limit, offset }: Asked) => `${limit} ${offset}`;

  const encode = async (line: string): Promise<Page> => {
    const countedAt = performance.now();
    const found = line === '' ? [] : line.split(',').map(stateOf);
    const counts = await occupancy.counts(found.map(({ id }) => id));
    const known = await texts.beginnings(found, counts);
    const rooms = found.filter(({ id }) => known.has(id));
    const beginnings = rooms.map(({ id }) => known.get(id)!);
    return {
      line,
      rooms,
      places: new Map(rooms.map(({ id }, place) => [id, place])),
      beginnings,
      strangers: rooms.map(({ last_seq }, place) => beginnings[place] + endOfRoom(false, last_seq)),
      countedAt,
    };
  };

  const listTogether = createBatcher(async (asked: Asked[]): Promise<string[]> => {
    const { limit, offset } = asked[0]!;
    const key = keyOf(asked[0]!);
    const userIds = [...new Set(asked.map(({ userId }) => userId))];
    const { line, users } = await readPage(db, userIds, limit, offset);
    let page = pages.get(key);
    if (page?.line !== line || performance.now() - page.countedAt > COUNTS_MS) {
      page = await encode(line);
      pages.set(key, page);
    }
    return asked.map(({ userId }) => finish(page, users.get(userId)));
  });

  return (userId: string, { limit, offset }: { limit: number; offset: number }): Promise<string> =>
    listTogether(keyOf({ userId, limit, offset }), { userId, limit, offset });
}
