/** Tells of the connection while there is something to tell. */
import { useEffect, useState } from 'react';
import { useCity, useConnection } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';

export function ConnectionBanner() {
  const { t } = useWords();
  const city = useCity();
  const { phase } = useConnection();
  const [late, setLate] = useState(false);

  // A blink of the connection is not worth a word.
  useEffect(() => {
    if (phase === 'live') return;
    const timer = setTimeout(() => setLate(true), 800);
    return () => {
      clearTimeout(timer);
      setLate(false);
    };
  }, [phase]);

  const shown = phase !== 'live' && phase !== 'closed' && (late || phase === 'refused');
  return (
    <div role="status" className="banner-slot">
      {shown && (
        <p className={`banner is-${phase}`}>
          <span>{t(`link.${phase}`)}</span>
          {(phase === 'lost' || phase === 'refused') && (
            <button type="button" className="link" onClick={() => city.reconnect()}>
              {t('link.now')}
            </button>
          )}
        </p>
      )}
    </div>
  );
}
