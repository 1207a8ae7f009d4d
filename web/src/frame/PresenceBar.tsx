/** The presence bar: the reader's own status, the numbers of the city and a few faces. */
import { usePresence } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Face } from '../parts/Face.tsx';
import { useNameOf } from '../parts/useNames.ts';
import { useReader } from './me.ts';

const FACES = 5;

export function PresenceBar() {
  const { t } = useWords();
  const { userId, name } = useReader();
  const { users, online, away, mine } = usePresence();
  const nameOf = useNameOf();
  const others = Object.values(users)
    .filter((user) => user.user_id !== userId && user.status === 'online')
    .slice(0, FACES);
  return (
    <section className="presence" aria-label={t('presence.bar')}>
      <span className="presence-me" title={t(`presence.you.${mine}`)}>
        <Face id={userId} name={name} status={mine} />
        <span className="presence-name" dir="auto">
          {name}
        </span>
        <span className="quiet">{t(`presence.you.${mine}`)}</span>
      </span>
      <span className="presence-faces" aria-hidden="true">
        {others.map(({ user_id: id, status }) => (
          <Face key={id} id={id} name={nameOf(id)} status={status} small />
        ))}
      </span>
      <span className="presence-counts">
        <span className="count is-online">{t('presence.online', { n: online })}</span>
        <span className="count is-away">{t('presence.away', { n: away })}</span>
      </span>
    </section>
  );
}
