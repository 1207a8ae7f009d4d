/** Second Me: the conversation with one's own agent, its replies appearing as they are written. */
import { useEffect, useRef } from 'react';
import type { ChatMessage } from '../../../src/client/index.ts';
import { useCity, useSecondMe } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Problem } from '../parts/Problem.tsx';
import { Title } from '../parts/Title.tsx';
import { Words } from '../parts/Words.tsx';
import { ClearHistory } from './ClearHistory.tsx';
import { PromptForm } from './PromptForm.tsx';
import { TurnItem } from './TurnItem.tsx';

const NEAR_END = 64;

function Said({ message }: { message: ChatMessage }) {
  const { t, brief, full } = useWords();
  return (
    <li className={`said is-${message.role}`}>
      <p className="said-head">
        <b>{t(message.role === 'user' ? 'me.you' : 'me.title')}</b>
        <time className="quiet" dateTime={message.created_at} title={full(message.created_at)}>
          {brief(message.created_at)}
        </time>
      </p>
      <p className="said-text" dir="auto">
        <Words text={message.content} />
      </p>
    </li>
  );
}

export function SecondMe() {
  const { t } = useWords();
  const city = useCity();
  const { history, profile, turns, error } = useSecondMe();
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
    if (element) {
      stuck.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END;
    }
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
        {error && <Problem error={error} retry={() => void city.secondMe.refresh()} />}
        {history === null && !error && <p className="note">{t('app.loading')}</p>}
        {empty && <p className="me-empty">{t('me.empty')}</p>}
        <ol className="me-words">
          {history?.map((message, at) => (
            <Said key={`${message.created_at}${at}`} message={message} />
          ))}
          {turns.map((turn) => (
            <TurnItem key={turn.client_id} turn={turn} />
          ))}
        </ol>
      </div>
      <PromptForm />
    </div>
  );
}
