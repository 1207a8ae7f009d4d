/** The queue of reports: each with the message as it is now, and what may be done about it. */
import { useCallback, useState } from 'react';
import type { QueuedReport } from '../../../src/client/index.ts';
import { useCity } from '../../../src/client/react.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { Problem } from '../parts/Problem.tsx';
import { Quote } from '../parts/Quote.tsx';
import { useAct } from '../parts/useAct.ts';
import { useNameOf } from '../parts/useNames.ts';
import { ModerateDialog } from './ModerateDialog.tsx';
import { Pages } from './Pages.tsx';
import { RoomPlate, useRoomName } from './RoomPlate.tsx';
import { PAGE, usePages } from './usePages.ts';

type Status = QueuedReport['status'];

function ReportItem({ report, onHandled }: { report: QueuedReport; onHandled(): void }) {
  const { t, brief, full } = useWords();
  const city = useCity();
  const { userId } = useReader();
  const nameOf = useNameOf();
  const roomName = useRoomName(report.room_id);
  const [message, setMessage] = useState(report.message);
  const [moderating, setModerating] = useState(false);
  const { busy, error, run } = useAct();
  const { id, room_id, message_id } = report;
  const author = message.author_user_id;

  async function handle(status: Exclude<Status, 'open'>) {
    if (await run(() => city.rest.handleReport({ id, status }))) onHandled();
  }
  const remove = () =>
    run(async () => setMessage(await city.rest.deleteMessage({ room_id, id: message_id })));

  return (
    <li className="desk-item">
      <p className="desk-line">
        <b dir="auto">{t('desk.by', { name: nameOf(report.reporter_id) })}</b>
        <RoomPlate id={room_id} />
        <time className="quiet" dateTime={report.created_at} title={full(report.created_at)}>
          {brief(report.created_at)}
        </time>
      </p>
      <p dir="auto">{report.reason}</p>
      <Quote message={message} />
      {error && <Problem error={error} />}
      <div className="row">
        {report.status === 'open' && (
          <>
            <button
              type="button"
              className="secondary"
              disabled={busy}
              onClick={() => void handle('resolved')}
            >
              {t('desk.resolve')}
            </button>
            <button
              type="button"
              className="secondary"
              disabled={busy}
              onClick={() => void handle('dismissed')}
            >
              {t('desk.dismiss')}
            </button>
          </>
        )}
        {author && author !== userId && (
          <button type="button" className="link" onClick={() => setModerating(true)}>
            {t('room.moderate', { name: message.username })}
          </button>
        )}
        {!message.deleted_at && (
          <button type="button" className="link is-danger" disabled={busy} onClick={() => void remove()}>
            {t('room.delete')}
          </button>
        )}
      </div>
      {moderating && author && (
        <ModerateDialog
          room={{ id: room_id, name: roomName }}
          person={{ id: author, name: message.username }}
          onClose={() => setModerating(false)}
        />
      )}
    </li>
  );
}

export function Reports({ status }: { status: Status }) {
  const { t } = useWords();
  const city = useCity();
  const load = useCallback(
    (before?: string) => city.rest.listReports({ status, limit: PAGE, ...(before ? { before } : {}) }),
    [city, status],
  );
  const pages = usePages(load);
  return (
    <Pages pages={pages} label={t(`desk.${status}`)} empty={t(`desk.empty.${status}`)}>
      {(report) => <ReportItem key={report.id} report={report} onHandled={() => pages.drop(report.id)} />}
    </Pages>
  );
}
