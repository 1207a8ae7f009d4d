/** Who is in the city now, those online before those away. */
import { usePresence } from '../../../src/client/react.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { PersonItem } from '../parts/PersonItem.tsx';
import { useNameOf } from '../parts/useNames.ts';

const SHOWN = 60;

export function OnlineList() {
  const { t } = useWords();
  const { userId } = useReader();
  const { users, online, away } = usePresence();
  const nameOf = useNameOf();
  const people = Object.values(users)
    .map(({ user_id: id, status }) => ({ id, status, name: nameOf(id) }))
    .sort((a, b) => b.status.localeCompare(a.status) || a.name.localeCompare(b.name));
  const shown = people.slice(0, SHOWN);
  const rest = Math.max(people.length, online + away) - shown.length;
  return (
    <section className="online" aria-labelledby="online-title">
      <header className="section-head">
        <h2 id="online-title">{t('city.online')}</h2>
        <span className="quiet">{t('presence.online', { n: online })}</span>
      </header>
      {people.every(({ id }) => id === userId) && <p className="note">{t('city.nobody')}</p>}
      <ul className="people is-strip" tabIndex={0} aria-labelledby="online-title">
        {shown.map((person) => (
          <PersonItem key={person.id} {...person} />
        ))}
      </ul>
      {rest > 0 && people.length > 0 && <p className="note">{t('city.andMore', { n: rest })}</p>}
    </section>
  );
}
