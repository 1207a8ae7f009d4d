/** The list of rooms as JSON: one read for everybody who asks for the same page at the same time. */
import { LRUCache } from 'lru-cache';
import { createBatcher } from '../platform/batcher.ts';
import type { Db } from '../platform/db.ts';
import type { Occupancy } from '../presence/occupancy.ts';
import { readPage } from './rooms.repo.ts';
import type { RoomsOfUser, RoomState } from './rooms.repo.ts';
import { endOfRoom } from './room-texts.ts';
import type { RoomTexts } from './room-texts.ts';

/** How old the numbers of who is online may be. */
const COUNTS_MS = 400;
/** Pages that are kept from one read to the next. */
const PAGES = 100;

interface Asked {
  userId: string;
  limit: number;
  offset: number;
}

/** A page as a caller has it who is in none of its rooms. */
interface Page {
  /** The line that it was encoded from, and the rooms in it by id. */
  line: string;
  rooms: ReadonlyMap<string, Place>;
  bytes: Buffer;
  countedAt: number;
}

/** A room in a page: which it is, from 0, and that the bytes from `from` to `to` are the caller's. */
interface Place {
  index: number;
  last_seq: number;
  from: number;
  to: number;
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

/** The page with what is one caller's put in its places. */
function finish({ rooms, bytes }: Page, mine: RoomsOfUser | undefined): Buffer {
  if (!mine) return bytes;
  const own: ({ place: Place; joined: boolean; read: number } | undefined)[] = Array(rooms.size);
  const ownOf = (id: string) => {
    const place = rooms.get(id);
    return place && (own[place.index] ??= { place, joined: false, read: 0 });
  };
  for (const id of mine.joined) {
    const room = ownOf(id);
    if (room) room.joined = true;
  }
  for (let at = 0; at < mine.read.length; at += 2) {
    const room = ownOf(mine.read[at]!);
    if (room) room.read = Number(mine.read[at + 1]);
  }

  // No caller's part is longer than a stranger's, and JSON takes the spaces in front of a shorter one.
  const page = Buffer.from(bytes);
  for (const room of own) {
    if (!room) continue;
    const { place, joined, read } = room;
    const end = endOfRoom(joined, place.last_seq - read);
    page.write(end.padStart(place.to - place.from), place.from, 'latin1');
  }
  return page;
}

/**
 * Lists rooms for a caller, as a JSON array in UTF-8. All of it is read after the call, except how many are online,
 * which is at most COUNTS_MS old.
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
    const rooms = new Map<string, Place>();
    const pieces: string[] = [];
    let at = 0;
    for (const { id, last_seq } of found) {
      const beginning = known.get(id);
      if (beginning === undefined) continue;
      const end = endOfRoom(false, last_seq);
      const from = at + 1 + Buffer.byteLength(beginning); // after the bracket or the comma
      at = from + end.length;
      rooms.set(id, { index: rooms.size, last_seq, from, to: at });
      pieces.push(beginning + end);
    }
    return { line, rooms, bytes: Buffer.from(`[${pieces.join(',')}]`), countedAt };
  };

  const listTogether = createBatcher(async (asked: Asked[]): Promise<Buffer[]> => {
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

  return (userId: string, { limit, offset }: { limit: number; offset: number }): Promise<Buffer> =>
    listTogether(keyOf({ userId, limit, offset }), { userId, limit, offset });
}
