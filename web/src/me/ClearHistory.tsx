/** Forgets the conversation, after asking once. */
import { useState } from 'react';
import { useCity } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Problem } from '../parts/Problem.tsx';
import { useAct } from '../parts/useAct.ts';

export function ClearHistory() {
  const { t } = useWords();
  const { secondMe } = useCity();
  const [sure, setSure] = useState(false);
  const { busy, error, run } = useAct();

  async function clear() {
    if (await run(() => secondMe.clear())) setSure(false);
  }

  return (
    <div className="row me-clear">
      {error && <Problem error={error} />}
      {sure ? (
        <>
          <span>{t('me.clearSure')}</span>
          <button
            type="button"
            className="link is-danger"
            disabled={busy}
            onClick={() => void clear()}
            autoFocus
          >
            {t('me.clearYes')}
          </button>
          <button type="button" className="link" onClick={() => setSure(false)}>
            {t('app.cancel')}
          </button>
        </>
      ) : (
        <button type="button" className="link" onClick={() => setSure(true)}>
          {t('me.clear')}
        </button>
      )}
    </div>
  );
}
