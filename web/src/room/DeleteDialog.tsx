/** Asks before a message goes. */
import type { Message } from '../../../src/client/index.ts';
import { useWords } from '../i18n.ts';
import { Dialog } from '../parts/Dialog.tsx';
import { Problem } from '../parts/Problem.tsx';
import { Quote } from '../parts/Quote.tsx';
import { useAct } from '../parts/useAct.ts';
import { useOpenRoom } from './context.ts';

export function DeleteDialog({ message, onClose }: { message: Message; onClose(): void }) {
  const { t } = useWords();
  const { handle } = useOpenRoom();
  const { busy, error, run } = useAct();

  async function remove() {
    if (await run(() => handle.delete(message.id))) onClose();
  }

  return (
    <Dialog title={t('room.deleteTitle')} onClose={onClose}>
      <Quote message={message} />
      <p className="quiet">{t('room.deleteLead')}</p>
      {error && <Problem error={error} />}
      <div className="row dialog-foot">
        <button type="button" className="primary is-danger" disabled={busy} onClick={() => void remove()}>
          {t('room.delete')}
        </button>
        <button type="button" className="secondary" onClick={onClose}>
          {t('app.cancel')}
        </button>
      </div>
    </Dialog>
  );
}
