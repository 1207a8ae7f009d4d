/** One question and its reply, from the sending to the last word. */
import { useWords } from '../i18n.ts';
import { cancel, invokeAgain, isUnderWay, type Turn } from '../stores/second-me.ts';
import { Icon } from './Icon.tsx';
import { Problem } from './Problem.tsx';

function After({ turn }: { turn: Turn }) {
  const { t, lang } = useWords();
  const facts = [
    turn.status === 'cancelled' && t('me.cancelled'),
    turn.fallback && t('me.fallback'),
    turn.latencyMs !== null &&
      t('me.seconds', {
        s: (turn.latencyMs / 1000).toLocaleString(lang, { maximumFractionDigits: 1 }),
      }),
    turn.tokens !== null && t('me.tokens', { n: turn.tokens }),
  ].filter((fact) => fact !== false);
  return facts.length ? <p className="quiet said-facts">{facts.join(' · ')}</p> : null;
}

export function TurnItem({ turn }: { turn: Turn }) {
  const { t } = useWords();
  const { status } = turn;
  const underWay = isUnderWay(turn);
  const waiting = status === 'sending' || status === 'queued' || status === 'running';
  return (
    <>
      <li className="said is-user">
        <p className="said-head">
          <b>{t('me.you')}</b>
        </p>
        <p className={turn.prompt === null ? 'said-text quiet' : 'said-text'} dir="auto">
          {turn.prompt ?? t('me.elsewhere')}
        </p>
      </li>
      <li className={underWay ? 'said is-assistant is-growing' : 'said is-assistant'}>
        <p className="said-head">
          <b>{t('me.title')}</b>
          {waiting && (
            <span className="quiet" role="status">
              {t(`me.${status}`)}
            </span>
          )}
          {underWay && turn.invocationId && (
            <button type="button" className="link me-stop" onClick={() => cancel(turn)}>
              <Icon name="stop" />
              {t('me.stop')}
            </button>
          )}
        </p>
        {turn.reply && (
          <p className="said-text" dir="auto">
            {turn.reply}
          </p>
        )}
        {status === 'failed' && <p className="problem">{t('me.failed')}</p>}
        {turn.error && (
          <Problem
            error={turn.error}
            {...(status === 'refused' ? { retry: () => void invokeAgain(turn) } : {})}
          />
        )}
        {!underWay && <After turn={turn} />}
        <p className="hidden" role="status">
          {status === 'succeeded' ? turn.reply : ''}
        </p>
      </li>
    </>
  );
}
