/** The head of the page: the name of the city, who is here, the language and the reader. */
import { switchLang, useWords } from '../i18n.ts';
import { sessionStore, signOut } from '../session.ts';
import { useStore } from '../store.ts';
import { Icon } from './Icon.tsx';
import { PresenceBar } from './PresenceBar.tsx';

export function Brand() {
  return (
    <span className="brand">
      <span className="brand-name">DAARION</span>
      <span className="brand-city">City</span>
    </span>
  );
}

export function LangSwitch() {
  const { t, lang } = useWords();
  return (
    <button type="button" className="lang" onClick={switchLang} lang={lang === 'uk' ? 'en' : 'uk'}>
      {t('app.language')}
    </button>
  );
}

export function TopBar() {
  const { t } = useWords();
  const signedIn = useStore(sessionStore, (state) => state.session !== null);
  return (
    <header className="topbar">
      <a href="#/" className="home">
        <Brand />
      </a>
      <PresenceBar />
      <LangSwitch />
      {signedIn && (
        <button
          type="button"
          className="icon-button"
          onClick={() => signOut()}
          aria-label={t('nav.signOut')}
          title={t('nav.signOut')}
        >
          <Icon name="out" />
        </button>
      )}
    </header>
  );
}
