/** Reports a message to the moderators. */
import { useState, type FormEvent } from 'react';
import type { Message } from '../../../src/client/index.ts';
import { useCity } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Dialog } from '../parts/Dialog.tsx';
import { Problem } from '../parts/Problem.tsx';
import { Quote } from '../parts/Quote.tsx';
import { useAct } from '../parts/useAct.ts';
import { isBlank, storable } from '../text.ts';

export const REASON_MAX = 500;

export function ReportDialog({ message, onClose }: { message: Message; onClose(): void }) {
  const { t } = useWords();
  const city = useCity();
  const [reason, setReason] = useState('');
  const [sent, setSent] = useState(false);
  const { busy, error, run } = useAct();

  async function send(event: FormEvent) {
    event.preventDefault();
    if (isBlank(reason)) return;
    const { room_id, id: message_id } = message;
    setSent(await run(() => city.rest.report({ room_id, message_id, reason: storable(reason.trim()) })));
  }

  return (
    <Dialog title={t('report.title')} onClose={onClose}>
      <Quote message={message} />
      <div role="status">{sent && <p>{t('report.thanks')}</p>}</div>
      {sent ? (
        <div className="row dialog-foot">
          <button type="button" className="primary" onClick={onClose} autoFocus>
            {t('app.close')}
          </button>
        </div>
      ) : (
        <form onSubmit={(event) => void send(event)}>
          <p className="quiet">{t('report.lead')}</p>
          <label className="field">
            <span>{t('report.reason')}</span>
            <textarea
              rows={3}
              maxLength={REASON_MAX}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
              required
            />
          </label>
          {error && <Problem error={error} />}
          <div className="row dialog-foot">
            <button type="submit" className="primary" disabled={busy || isBlank(reason)}>
              {t('report.send')}
            </button>
            <button type="button" className="secondary" onClick={onClose}>
              {t('app.cancel')}
            </button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
