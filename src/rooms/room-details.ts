/** A room with its last messages and who has it open, as JSON: one read for everybody who asks at the same time. */
import type { Caller } from '../auth/caller.ts';
import { authorise } from '../auth/policy.ts';
import { createBatcher } from '../platform/batcher.ts';
import type { Semaphore } from '../platform/batcher.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Occupancy } from '../presence/occupancy.ts';
import { readBefore } from '../room-log/log.repo.ts';
import { endOfRoom } from './room-texts.ts';
import type { RoomTexts } from './room-texts.ts';
import { readStandings } from './rooms.repo.ts';

const LAST_MESSAGES = 50;
const ONLINE_MEMBERS_MAX = 200;

interface RoomDetailDeps {
  db: Db;
  occupancy: Occupancy;
  texts: RoomTexts;
  metrics: Metrics;
  semaphore: Semaphore;
}

export const noSuchRoom = () => new AppError('not_found', 'There is no such room.');

/** Describes a room to a caller, all of it read after the call. @throws AppError not_found; forbidden for the banned */
export function createRoomDetails({ db, occupancy, texts, metrics, semaphore }: RoomDetailDeps) {
  const readTogether = createBatcher(async (asked: { caller: Caller; roomId: string }[]) => {
    const { roomId } = asked[0]!;
    const userIds = [...new Set(asked.map(({ caller }) => caller.id))];
    const [standings, slice, counts, online] = await Promise.all([
      readStandings(db, roomId, userIds),
      readBefore(db, roomId, Number.MAX_SAFE_INTEGER, LAST_MESSAGES),
      occupancy.counts([roomId]),
      occupancy.members(roomId, ONLINE_MEMBERS_MAX),
    ]);
    metrics.snapshots.inc();
    const [room] = standings;
    if (!room || !slice) throw noSuchRoom();
    const { last_seq, last_change_seq } = slice.head;
    const beginning = (await texts.beginnings([{ ...room, last_seq, last_change_seq }], counts)).get(roomId);
    if (beginning === undefined) throw noSuchRoom();
    const byUser = new Map(standings.map((standing) => [standing.user_id, standing]));
    const messages = JSON.stringify(slice.messages.reverse());
    const members = JSON.stringify(online);
    const rest = `,"messages":${messages},"members_online":${counts.get(roomId) ?? 0},"online_members":${members}}`;
    return asked.map(({ caller }) => {
      const { joined, last_read_seq, banned } = byUser.get(caller.id)!;
      return { banned, text: `{"room":${beginning}${endOfRoom(joined, last_seq - last_read_seq)}${rest}` };
    });
  }, semaphore);

  return async (caller: Caller, roomId: string): Promise<string> => {
    const { banned, text } = await readTogether(roomId, { caller, roomId });
    if (banned) authorise(caller, 'room.open', ['banned']);
    return text;
  };
}
