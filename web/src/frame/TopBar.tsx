/** The head of the page: the name of the city, who is here, the language and the way out. */
import { switchLang, useWords } from '../i18n.ts';
import { Icon } from '../parts/Icon.tsx';
import { signOut } from '../session.ts';
import { PresenceBar } from './PresenceBar.tsx';

export function Brand() {
  return (
    <span className="brand">
      <span className="brand-name">DAARION</span> <span className="brand-city">City</span>
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
  return (
    <header className="topbar">
      <a href="#/" className="home">
        <Brand />
      </a>
      <PresenceBar />
      <LangSwitch />
      <button
        type="button"
        className="icon-button"
        onClick={() => signOut()}
        aria-label={t('nav.signOut')}
        title={t('nav.signOut')}
      >
        <Icon name="out" />
      </button>
    </header>
  );
}
