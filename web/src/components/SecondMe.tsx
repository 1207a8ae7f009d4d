/** Second Me: the conversation with one's own agent, its replies appearing as they are written. */
import { useEffect, useRef, useState } from 'react';
import { asCityError, type CityError } from '../errors.ts';
import { useWords } from '../i18n.ts';
import { useStore } from '../store.ts';
import { clearHistory, refreshSecondMe, secondMeStore } from '../stores/second-me.ts';
import { Problem } from './Problem.tsx';
import { PromptForm } from './PromptForm.tsx';
import { Title } from './Title.tsx';
import { TurnItem } from './TurnItem.tsx';

function ClearHistory() {
  const { t } = useWords();
  const [sure, setSure] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<CityError | null>(null);

  async function clear() {
    setBusy(true);
    setError(null);
    try {
      await clearHistory();
      setSure(false);
    } catch (failure) {
      setError(asCityError(failure));
    } finally {
      setBusy(false);
    }
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

export function SecondMe() {
  const { t, brief, full } = useWords();
  const { history, profile, turns, error } = useStore(secondMeStore, (state) => state);
  const box = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  const count = turns.length;

  useEffect(() => {
    stuck.current = true;
  }, [count]);

  useEffect(() => {
    const element = box.current;
    if (element && stuck.current) element.scrollTop = element.scrollHeight;
  });

  function onScroll() {
    const element = box.current;
    if (element) stuck.current = element.scrollHeight - element.scrollTop - element.clientHeight < 64;
  }

  const empty = history?.length === 0 && turns.length === 0;
  return (
    <div className="me">
      <header className="me-head">
        <Title text={t('me.title')} />
        <p className="lead">
          {t('me.lead')}
          {profile && profile.total_interactions > 0 && (
            <span className="quiet"> {t('me.count', { n: profile.total_interactions })}</span>
          )}
        </p>
        {history && !empty && <ClearHistory />}
      </header>
      <div
        className="me-log"
        ref={box}
        onScroll={onScroll}
        tabIndex={0}
        role="region"
        aria-label={t('me.log')}
        aria-busy={history === null && !error}
      >
        {error && <Problem error={error} retry={() => void refreshSecondMe()} />}
        {history === null && !error && <p className="note">{t('app.loading')}</p>}
        {empty && <p className="me-empty">{t('me.empty')}</p>}
        <ol className="me-words">
          {history?.map((message, at) => (
            <li key={`${message.created_at}${at}`} className={`said is-${message.role}`}>
              <p className="said-head">
                <b>{t(message.role === 'user' ? 'me.you' : 'me.title')}</b>
                <time className="quiet" dateTime={message.created_at} title={full(message.created_at)}>
                  {brief(message.created_at)}
                </time>
              </p>
              <p className="said-text" dir="auto">
                {message.content}
              </p>
            </li>
          ))}
          {turns.map((turn) => (
            <TurnItem key={turn.key} turn={turn} />
          ))}
        </ol>
      </div>
      <PromptForm />
    </div>
  );
}
