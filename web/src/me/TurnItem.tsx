/** One question and its reply, from the sending to the last word. */
import type { Turn } from '../../../src/client/index.ts';
import { useCity } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Icon } from '../parts/Icon.tsx';
import { Problem } from '../parts/Problem.tsx';
import { useAct } from '../parts/useAct.ts';
import { Words } from '../parts/Words.tsx';

function After({ turn }: { turn: Turn }) {
  const { t, lang } = useWords();
  const { latency_ms: latency, tokens_used: tokens } = turn;
  const seconds = latency !== null && (latency / 1000).toLocaleString(lang, { maximumFractionDigits: 1 });
  const facts = [
    turn.status === 'cancelled' && t('me.cancelled'),
    turn.fallback && t('me.fallback'),
    seconds !== false && t('me.seconds', { s: seconds }),
    tokens !== null && t('me.tokens', { n: tokens }),
  ].filter((fact) => fact !== false);
  return facts.length ? <p className="quiet said-facts">{facts.join(' · ')}</p> : null;
}

export function TurnItem({ turn }: { turn: Turn }) {
  const { t } = useWords();
  const { secondMe } = useCity();
  const { error: notStopped, run } = useAct();
  const { client_id: id, status, prompt, reply, error } = turn;
  const waiting = status === 'sending' || status === 'queued' || status === 'running';
  return (
    <>
      <li className="said is-user">
        <p className="said-head">
          <b>{t('me.you')}</b>
        </p>
        <p className={prompt === null ? 'said-text quiet' : 'said-text'} dir="auto">
          {prompt ?? t('me.elsewhere')}
        </p>
      </li>
      <li className={waiting ? 'said is-assistant is-growing' : 'said is-assistant'}>
        <p className="said-head">
          <b>{t('me.title')}</b>
          {waiting && (
            <span className="quiet" role="status">
              {t(`me.${status}`)}
            </span>
          )}
          {waiting && turn.invocation_id && (
            <button
              type="button"
              className="link me-stop"
              onClick={() => void run(() => secondMe.cancel(id))}
            >
              <Icon name="stop" />
              {t('me.stop')}
            </button>
          )}
        </p>
        {reply && (
          <p className="said-text" dir="auto">
            <Words text={reply} />
          </p>
        )}
        {status === 'failed' && <p className="problem">{t('me.failed')}</p>}
        {error && (
          <Problem error={error} retry={status === 'refused' ? () => secondMe.retry(id) : undefined} />
        )}
        {waiting && notStopped && <Problem error={notStopped} />}
        {!waiting && <After turn={turn} />}
        <p className="hidden" role="status">
          {status === 'succeeded' ? reply : ''}
        </p>
      </li>
    </>
  );
}
