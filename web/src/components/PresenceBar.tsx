/** The presence bar: the reader's own status, the numbers of the city and a few faces. */
import { useWords } from '../i18n.ts';
import { currentSession } from '../session.ts';
import { useStore } from '../store.ts';
import { nameOf, names } from '../stores/names.ts';
import { presenceStore } from '../stores/presence.ts';
import { Face } from './Face.tsx';

const FACES = 5;

export function PresenceBar() {
  const { t } = useWords();
  const { users, online, away, mine } = useStore(presenceStore, (state) => state);
  const known = useStore(names, (state) => state);
  const session = currentSession();
  if (!session) return null;
  const others = Object.values(users)
    .filter((user) => user.user_id !== session.userId && user.status === 'online')
    .slice(0, FACES);
  return (
    <section className="presence" aria-label={t('presence.bar')}>
      <span className="presence-me" title={t(`presence.you.${mine}`)}>
        <Face id={session.userId} name={session.name} status={mine} />
        <span className="presence-name" dir="auto">
          {session.name}
        </span>
        <span className="quiet">{t(`presence.you.${mine}`)}</span>
      </span>
      <span className="presence-faces" aria-hidden="true">
        {others.map((user) => (
          <Face
            key={user.user_id}
            id={user.user_id}
            name={nameOf(known, user.user_id)}
            status={user.status}
            small
          />
        ))}
      </span>
      <span className="presence-counts">
        <span className="count is-online">{t('presence.online', { n: online })}</span>
        <span className="count is-away">{t('presence.away', { n: away })}</span>
      </span>
    </section>
  );
}
