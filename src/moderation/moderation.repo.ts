/** Restrictions, reports and the log of moderation in PostgreSQL. */
import type { ModerationAct, QueuedReport, Report, ReportStatus } from '../contract/moderation.ts';
import type { Db } from '../platform/db.ts';
import { prepared, rows } from '../platform/db.ts';
import { refersToGone } from '../platform/errors.ts';
import { findMessages } from '../room-log/log.repo.ts';

/**
 * Locks a room against appends, joins and its deletion until the transaction ends; false when there is no such room.
 * The order is that of migration 0005: the head first.
 */
export async function lockRoom(trx: Db, roomId: string): Promise<boolean> {
  const found = await rows(trx, 'select from city_room_heads where room_id = ? for update', [roomId]);
  if (found.length === 0) return false;
  await trx.raw('select from city_rooms where id = ? for update', [roomId]);
  return true;
}

export type RestrictionKind = 'ban' | 'mute';

/** Restricts a user, in place of an earlier restriction of the kind. */
export async function putRestriction(
  trx: Db,
  restriction: { room_id: string; user_id: string; kind: RestrictionKind; until: string | null },
): Promise<void> {
  await trx.raw(
    `insert into city_room_restrictions (room_id, user_id, kind, until)
     values (:room_id, :user_id, :kind, :until)
     on conflict (room_id, user_id, kind) do update set until = excluded.until`,
    restriction,
  );
}

export async function dropRestriction(
  trx: Db,
  restriction: { room_id: string; user_id: string; kind: RestrictionKind },
): Promise<void> {
  await trx.raw(
    'delete from city_room_restrictions where room_id = :room_id and user_id = :user_id and kind = :kind',
    restriction,
  );
}

/** Ends a membership. */
export async function endMembership(trx: Db, roomId: string, userId: string): Promise<void> {
  await trx.raw('delete from city_room_members where room_id = ? and user_id = ?', [roomId, userId]);
}

const ACT = `id, action, moderator_id, room_id, user_id, message_id, report_id, reason, until, request_id, created_at`;

export type NewAct = Pick<ModerationAct, 'id' | 'action' | 'moderator_id'> & Partial<ModerationAct>;

export async function insertAct(db: Db, act: NewAct): Promise<ModerationAct> {
  const blank = { room_id: null, user_id: null, message_id: null, report_id: null, reason: null };
  const [stored] = await rows<ModerationAct>(
    db,
    `insert into city_moderation_log
       (id, action, moderator_id, room_id, user_id, message_id, report_id, reason, until, request_id)
     values (:id, :action, :moderator_id, :room_id, :user_id, :message_id, :report_id, :reason, :until, :request_id)
     returning ${ACT}`,
    { ...blank, until: null, request_id: null, ...act },
  );
  return stored!;
}

export interface Page {
  limit: number;
  /** The place (n) of the entry that the page ends before. */
  before: number | undefined;
}

const TABLES = { act: 'city_moderation_log', report: 'city_reports' } as const;

/** The place of an act or a report in its list; undefined when there is none of that id. */
export async function findPlace(db: Db, what: keyof typeof TABLES, id: string): Promise<number | undefined> {
  return (await rows<{ n: number }>(db, `select n from ${TABLES[what]} where id = ?`, [id]))[0]?.n;
}

/** Acts, newest first. */
export function listActs(
  db: Db,
  { limit, before = Number.MAX_SAFE_INTEGER, roomId }: Page & { roomId: string | undefined },
): Promise<ModerationAct[]> {
  const ofRoom = roomId === undefined ? '' : 'and room_id = :roomId';
  return rows<ModerationAct>(
    db,
    `select ${ACT} from city_moderation_log where n < :before ${ofRoom} order by n desc limit :limit`,
    { limit, before, ...(roomId === undefined ? {} : { roomId }) },
  );
}

/** What took users out of rooms lately, as far as it still holds: a user who is a member (again) is not named. */
export interface Removal {
  action: 'ban' | 'kick' | 'delete_room';
  room_id: string;
  /** Null: everybody, since the room is gone. */
  user_id: string | null;
}

/** The removals since `since` (a time of the database; ten seconds ago by default), and its present time. */
export async function readRemovals(
  db: Db,
  since: string | undefined,
): Promise<{ now: string; removals: Removal[] }> {
  const found = await prepared<Removal & { now: string }>(
    db,
    'city_removals_since',
    `select now() now, l.* from (select) one left join lateral (
       select distinct on (room_id, user_id) action, room_id, user_id from city_moderation_log l
       where l.action in ('ban', 'kick', 'delete_room') and l.created_at > coalesce($1::timestamptz, now() - interval '10 s')
         and case when l.user_id is null
             -- Of a room that was made again somebody may still have the old one open.
             then not exists (select from city_room_heads h where h.room_id = l.room_id and h.first_change_seq = 0)
             else not exists (select from city_room_members m where m.room_id = l.room_id and m.user_id = l.user_id) end
       order by room_id, user_id, n desc
     ) l on true`,
    [since ?? null],
  );
  return {
    now: found[0]!.now,
    removals: found
      .filter(({ action }) => action !== null)
      .map(({ action, room_id, user_id }) => ({ action, room_id, user_id })),
  };
}

const REPORT = `id, room_id, message_id, reporter_id, reason, status, note, handled_by, handled_at, created_at`;

/**
 * Stores a report; the one that is there already, when the reporter made one of this message before; undefined when
 * the message has gone.
 */
export async function insertReport(
  db: Db,
  report: Pick<Report, 'id' | 'room_id' | 'message_id' | 'reporter_id' | 'reason'>,
): Promise<{ report: Report; repeated: boolean } | undefined> {
  const [created] = await rows<Report>(
    db,
    `insert into city_reports (id, room_id, message_id, reporter_id, reason)
     values (:id, :room_id, :message_id, :reporter_id, :reason) on conflict do nothing returning ${REPORT}`,
    report,
  ).catch((error: unknown) => {
    if (!refersToGone(error)) throw error;
    return [];
  });
  if (created) return { report: created, repeated: false };
  const [earlier] = await rows<Report>(
    db,
    `select ${REPORT} from city_reports where message_id = :message_id and reporter_id = :reporter_id`,
    report,
  );
  return earlier && { report: earlier, repeated: true };
}

/** Reports, newest first, each with its message. */
export async function listReports(
  db: Db,
  { limit, before = Number.MAX_SAFE_INTEGER, status }: Page & { status: ReportStatus | undefined },
): Promise<QueuedReport[]> {
  const ofStatus = status === undefined ? '' : 'and status = :status';
  const reports = await rows<Report>(
    db,
    `select ${REPORT} from city_reports where n < :before ${ofStatus} order by n desc limit :limit`,
    { limit, before, ...(status === undefined ? {} : { status }) },
  );
  const messages = await findMessages(
    db,
    reports.map(({ message_id }) => message_id),
  );
  return reports.flatMap((report) => {
    const message = messages.get(report.message_id);
    return message ? [{ ...report, message }] : [];
  });
}

/** Closes a report, again too; undefined when there is none of that id. */
export async function closeReport(
  trx: Db,
  change: { id: string; status: ReportStatus; note: string | null; handled_by: string },
): Promise<Report | undefined> {
  const [report] = await rows<Report>(
    trx,
    `update city_reports set status = :status, note = :note, handled_by = :handled_by, handled_at = now()
     where id = :id returning ${REPORT}`,
    change,
  );
  return report;
}
