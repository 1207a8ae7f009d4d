/** The way in: by any name where the server runs for development, by a token elsewhere. */
import { useEffect, useState, type FormEvent } from 'react';
import { useWords } from '../i18n.ts';
import { sessionStore, signInAs, signInWithToken, type DevSignIn } from '../session.ts';
import { useStore } from '../store.ts';
import { isBlank, userIdFor } from '../text.ts';
import { useDevelopment } from './page-settings.ts';
import { SkyPicture } from './SkyPicture.tsx';
import { Brand, LangSwitch } from './TopBar.tsx';

type Failure = Exclude<DevSignIn, 'ok'> | 'bad_token';

const FAILURES = {
  no_dev: 'signin.noDev',
  refused: 'signin.refused',
  offline: 'signin.offline',
  bad_token: 'signin.badToken',
} as const;

const ROLES = ['citizen', 'moderator', 'admin'] as const;

function ByName({ onResult }: { onResult(result: DevSignIn): void }) {
  const { t } = useWords();
  const [name, setName] = useState('');
  const [role, setRole] = useState<string>('citizen');
  const [busy, setBusy] = useState(false);

  async function enter(event: FormEvent) {
    event.preventDefault();
    if (busy || isBlank(name)) return;
    setBusy(true);
    const result = await signInAs(name, role);
    setBusy(false);
    onResult(result);
  }

  return (
    <form id="signin" onSubmit={(event) => void enter(event)}>
      <div className="signin-fields">
        <label className="field">
          <span>{t('signin.name')}</span>
          <input
            value={name}
            maxLength={80}
            autoComplete="nickname"
            placeholder={t('signin.namePlaceholder')}
            onChange={(event) => setName(event.target.value)}
            aria-describedby="signin-hint"
            required
          />
        </label>
        <label className="field">
          <span>{t('signin.role')}</span>
          <select value={role} onChange={(event) => setRole(event.target.value)}>
            {ROLES.map((one) => (
              <option key={one} value={one}>
                {t(`signin.role.${one}`)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <p id="signin-hint" className="hint">
        {isBlank(name) ? '\u00a0' : t('signin.as', { id: userIdFor(name) })}
      </p>
    </form>
  );
}

function ByToken({ onResult }: { onResult(result: 'ok' | 'bad_token'): void }) {
  const { t } = useWords();
  const [token, setToken] = useState('');

  function enter(event: FormEvent) {
    event.preventDefault();
    if (!isBlank(token)) onResult(signInWithToken(token) ? 'ok' : 'bad_token');
  }

  return (
    <form id="signin" onSubmit={enter}>
      <label className="field">
        <span>{t('signin.token')}</span>
        <textarea
          rows={4}
          spellCheck={false}
          autoComplete="off"
          value={token}
          onChange={(event) => setToken(event.target.value)}
          aria-describedby="signin-hint"
          required
        />
      </label>
      <p id="signin-hint" className="hint">
        {t('signin.tokenHint')}
      </p>
    </form>
  );
}

export function SignIn() {
  const { t } = useWords();
  const notice = useStore(sessionStore, (state) => state.notice);
  const development = useDevelopment();
  const [chosen, setChosen] = useState<'name' | 'token' | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const way = chosen ?? (development === false ? 'token' : 'name');

  useEffect(() => {
    document.title = 'DAARION City';
  }, []);

  function onResult(result: Failure | 'ok') {
    setFailure(result === 'ok' ? null : result);
    if (result === 'no_dev') setChosen('token');
  }

  function choose(next: 'name' | 'token') {
    setChosen(next);
    setFailure(null);
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
        {way === 'name' ? <ByName onResult={onResult} /> : <ByToken onResult={onResult} />}
        <p role="alert" className={said ? 'problem' : 'hidden'}>
          {said}
        </p>
        <div className="row">
          <button type="submit" form="signin" className="primary">
            {t('signin.enter')}
          </button>
          {development !== false && (
            <button type="button" className="link" onClick={() => choose(way === 'name' ? 'token' : 'name')}>
              {way === 'name' ? t('signin.haveToken') : t('signin.noToken')}
            </button>
          )}
        </div>
      </main>
      <SkyPicture />
    </div>
  );
}
