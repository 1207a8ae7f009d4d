/** Who is in the city now, those online before those away. */
import { useWords } from '../i18n.ts';
import { currentSession } from '../session.ts';
import { useStore } from '../store.ts';
import { nameOf, names } from '../stores/names.ts';
import { presenceStore } from '../stores/presence.ts';
import { Face } from './Face.tsx';

const SHOWN = 60;

export function OnlineList() {
  const { t } = useWords();
  const { users, online, away } = useStore(presenceStore, (state) => state);
  const known = useStore(names, (state) => state);
  const me = currentSession()?.userId;
  const people = Object.values(users)
    .map((user) => ({ ...user, name: nameOf(known, user.user_id) }))
    .sort((a, b) => b.status.localeCompare(a.status) || a.name.localeCompare(b.name));
  const shown = people.slice(0, SHOWN);
  const rest = Math.max(people.length, online + away) - shown.length;
  return (
    <section className="online" aria-labelledby="online-title">
      <header className="section-head">
        <h2 id="online-title">{t('city.online')}</h2>
        <span className="quiet">{t('presence.online', { n: online })}</span>
      </header>
      {people.every((user) => user.user_id === me) && <p className="note">{t('city.nobody')}</p>}
      <ul className="people">
        {shown.map((user) => (
          <li key={user.user_id} className="person">
            <Face id={user.user_id} name={user.name} status={user.status} />
            <span className="person-name" dir="auto">
              {user.name}
            </span>
            {user.status === 'away' ? (
              <span className="quiet">{t('status.away')}</span>
            ) : (
              <span className="hidden">, {t('status.online')}</span>
            )}
          </li>
        ))}
      </ul>
      {rest > 0 && people.length > 0 && <p className="note">{t('city.andMore', { n: rest })}</p>}
    </section>
  );
}
