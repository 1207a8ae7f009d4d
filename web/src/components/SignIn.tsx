/** The way in: by any name where the server runs for development, by a token elsewhere. */
import { useEffect, useState, type FormEvent } from 'react';
import { useWords } from '../i18n.ts';
import { sessionStore, signInAs, signInWithToken, type DevSignIn } from '../session.ts';
import { useStore } from '../store.ts';
import { isBlank, userIdFor } from '../text.ts';
import { Brand, LangSwitch } from './TopBar.tsx';
import { SkyPicture } from './SkyPicture.tsx';

/** Remembers that this city has no sign-in by name, so that the right field comes first next time. */
const NO_DEV = 'daarion.token-only';

type Failure = Exclude<DevSignIn, 'ok'> | 'bad_token';

const FAILURES = {
  no_dev: 'signin.noDev',
  refused: 'signin.refused',
  offline: 'signin.offline',
  bad_token: 'signin.badToken',
} as const;

export function SignIn() {
  const { t } = useWords();
  const notice = useStore(sessionStore, (state) => state.notice);
  const [byToken, setByToken] = useState(() => localStorage.getItem(NO_DEV) !== null);
  const [value, setValue] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);

  useEffect(() => {
    document.title = 'DAARION City';
  }, []);

  function choose(token: boolean, why: Failure | null = null) {
    setByToken(token);
    setValue('');
    setFailure(why);
  }

  async function enter(event: FormEvent) {
    event.preventDefault();
    if (busy || isBlank(value)) return;
    if (byToken) {
      if (!signInWithToken(value)) setFailure('bad_token');
      return;
    }
    setBusy(true);
    const result = await signInAs(value);
    setBusy(false);
    if (result === 'ok') return;
    if (result === 'no_dev') localStorage.setItem(NO_DEV, '1');
    if (result === 'no_dev') choose(true, result);
    else setFailure(result);
  }

  const said = failure ? t(FAILURES[failure]) : notice === 'expired' ? t('signin.expired') : '';
  return (
    <div className="signin">
      <header className="signin-head">
        <LangSwitch />
      </header>
      <main className="signin-card">
        <h1>
          <Brand />
        </h1>
        <p className="signin-lead">{t('signin.lead')}</p>
        <form onSubmit={(event) => void enter(event)}>
          {byToken ? (
            <label className="field">
              <span>{t('signin.token')}</span>
              <textarea
                rows={4}
                spellCheck={false}
                autoComplete="off"
                value={value}
                onChange={(event) => setValue(event.target.value)}
                aria-describedby="signin-hint"
                required
              />
            </label>
          ) : (
            <label className="field">
              <span>{t('signin.name')}</span>
              <input
                value={value}
                maxLength={80}
                autoComplete="nickname"
                placeholder={t('signin.namePlaceholder')}
                onChange={(event) => setValue(event.target.value)}
                aria-describedby="signin-hint"
                required
              />
            </label>
          )}
          <p id="signin-hint" className="hint">
            {byToken
              ? t('signin.tokenHint')
              : isBlank(value)
                ? '\u00a0'
                : t('signin.as', { id: userIdFor(value) })}
          </p>
          <p role="alert" className={said ? 'problem' : 'hidden'}>
            {said}
          </p>
          <div className="row">
            <button type="submit" className="primary" disabled={busy}>
              {t('signin.enter')}
            </button>
            <button type="button" className="link" onClick={() => choose(!byToken)}>
              {byToken ? t('signin.noToken') : t('signin.haveToken')}
            </button>
          </div>
        </form>
      </main>
      <SkyPicture />
    </div>
  );
}
