/** The moderators' desk: what was reported, and what moderators did. */
import { useState } from 'react';
import { useWords } from '../i18n.ts';
import { Title } from '../parts/Title.tsx';
import { Journal } from './Journal.tsx';
import { Reports } from './Reports.tsx';

const VIEWS = ['open', 'resolved', 'dismissed', 'log'] as const;

export function Desk() {
  const { t } = useWords();
  const [view, setView] = useState<(typeof VIEWS)[number]>('open');
  return (
    <div className="desk">
      <header className="desk-head">
        <Title text={t('desk.title')} />
        <div className="switch" role="group" aria-label={t('desk.view')}>
          {VIEWS.map((one) => (
            <button key={one} type="button" aria-pressed={one === view} onClick={() => setView(one)}>
              {t(`desk.${one}`)}
            </button>
          ))}
        </div>
      </header>
      {view === 'log' ? <Journal /> : <Reports key={view} status={view} />}
    </div>
  );
}
