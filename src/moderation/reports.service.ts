/** Reports of messages, and the queue of them that moderators work on. */
import type { Caller } from '../auth/caller.ts';
import type {
  HandleReport,
  ListReports,
  QueuedReport,
  Report,
  ReportMessage,
} from '../contract/moderation.ts';
import type { Db } from '../platform/db.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import { findMessage } from '../room-log/log.repo.ts';
import { noSuchPlace } from './moderation.log.ts';
import type { ModerationLog } from './moderation.log.ts';
import { closeReport, findPlace, insertReport, listReports } from './moderation.repo.ts';

interface ReportsDeps {
  db: Db;
  newId: NewId;
  moderationLog: ModerationLog;
}

export type Reports = ReturnType<typeof createReports>;

export function createReports({ db, newId, moderationLog }: ReportsDeps) {
  return {
    /**
     * Reports a message; by the same person again: the report that is there, in its present state.
     * @throws AppError not_found
     */
    async report(
      caller: Caller,
      { room_id, message_id, reason }: ReportMessage,
    ): Promise<{ report: Report; repeated: boolean }> {
      const found = await findMessage(db, room_id, message_id);
      const reported =
        found &&
        (await insertReport(db, {
          id: newId('rep_city'),
          room_id,
          message_id,
          reporter_id: caller.id,
          reason,
        }));
      if (!reported) throw new AppError('not_found', 'There is no such message.');
      return reported;
    },

    /** A page, newest first. @throws AppError invalid when `before` names no report */
    async list({ status, limit, before }: ListReports): Promise<QueuedReport[]> {
      const place = before === undefined ? undefined : await findPlace(db, 'report', before);
      if (before !== undefined && place === undefined) throw noSuchPlace();
      return listReports(db, { status, limit, before: place });
    },

    /** Closes a report. @throws AppError not_found */
    async handle(
      caller: Caller,
      id: string,
      { status, note }: HandleReport,
      requestId: string,
    ): Promise<Report> {
      return db.transaction(async (trx) => {
        const report = await closeReport(trx, {
          id,
          status,
          note: note ?? null,
          handled_by: caller.id,
        });
        if (!report) throw new AppError('not_found', 'There is no such report.');
        await moderationLog.record(trx, {
          action: status === 'resolved' ? 'resolve_report' : 'dismiss_report',
          moderator_id: caller.id,
          room_id: report.room_id,
          message_id: report.message_id,
          report_id: report.id,
          reason: note ?? null,
          request_id: requestId,
        });
        return report;
      });
    },
  };
}
