/** The ways through the city: the rail on wide screens and the tabs on phones. */
import { useWords } from '../i18n.ts';
import { roomHref, type Route } from '../route.ts';
import { useStore } from '../store.ts';
import { cityStore } from '../stores/city.ts';
import { Icon } from './Icon.tsx';

const current = (active: boolean) => (active ? ({ 'aria-current': 'page' } as const) : {});

function Ways({ route }: { route: Route }) {
  const { t } = useWords();
  return (
    <>
      <a href="#/" className="way" {...current(route.page === 'city')}>
        <Icon name="city" />
        {t('nav.city')}
      </a>
      <a href="#/me" className="way" {...current(route.page === 'me')}>
        <Icon name="me" />
        {t('nav.me')}
      </a>
      <a href="#/new-room" className="way" {...current(route.page === 'new-room')}>
        <Icon name="plus" />
        {t('nav.newRoom')}
      </a>
    </>
  );
}

export function SideNav({ route }: { route: Route }) {
  const { t, inside } = useWords();
  const rooms = useStore(cityStore, (state) => state.rooms);
  return (
    <nav className="rail" aria-label={t('nav.main')}>
      <Ways route={route} />
      <h2 className="rail-title">{t('nav.rooms')}</h2>
      <ul className="rail-rooms">
        {rooms?.map((room) => {
          const open = route.page === 'room' && (route.ref === room.slug || route.ref === room.id);
          return (
            <li key={room.id}>
              <a
                href={roomHref(room.slug)}
                className={room.unread > 0 ? 'rail-room has-unread' : 'rail-room'}
                {...current(open)}
              >
                <span className={room.members_online > 0 ? 'lamp is-lit' : 'lamp'} aria-hidden="true" />
                <span className="rail-name" dir="auto">
                  {room.name}
                </span>
                <span className="rail-inside">
                  <span aria-hidden="true">{room.members_online || ''}</span>
                  <span className="hidden">, {inside(room.members_online)}</span>
                </span>
                {room.unread > 0 && !open && (
                  <span className="badge">
                    <span aria-hidden="true">{room.unread > 99 ? '99+' : room.unread}</span>
                    <span className="hidden">, {t('room.unread', { n: room.unread })}</span>
                  </span>
                )}
              </a>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

export function TabBar({ route }: { route: Route }) {
  const { t } = useWords();
  return (
    <nav className="tabs" aria-label={t('nav.main')}>
      <Ways route={route} />
    </nav>
  );
}
