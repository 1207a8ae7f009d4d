/** The ways through the city: the rail on wide screens and the tabs on phones. */
import { useRooms } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Icon } from '../parts/Icon.tsx';
import { roomHref, type Route } from '../route.ts';
import { useReader } from './me.ts';
import { useDevelopment } from './page-settings.ts';

const current = (active: boolean) => (active ? ({ 'aria-current': 'page' } as const) : {});

function Ways({ route }: { route: Route }) {
  const { t } = useWords();
  const { moderates } = useReader();
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
      {moderates && (
        <a href="#/moderation" className="way" {...current(route.page === 'moderation')}>
          <Icon name="shield" />
          {t('nav.desk')}
        </a>
      )}
    </>
  );
}

function RailRooms({ route }: { route: Route }) {
  const { t, inside } = useWords();
  const { rooms } = useRooms();
  return (
    <ul className="rail-rooms">
      {rooms?.map((room) => {
        const open = route.page === 'room' && (route.ref === room.slug || route.ref === room.id);
        const unread = open ? 0 : room.unread;
        return (
          <li key={room.id}>
            <a
              href={roomHref(room.slug)}
              className={unread > 0 ? 'rail-room has-unread' : 'rail-room'}
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
              {unread > 0 && (
                <span className="badge">
                  <span aria-hidden="true">{unread > 99 ? '99+' : unread}</span>
                  <span className="hidden">, {t('room.unread', { n: unread })}</span>
                </span>
              )}
            </a>
          </li>
        );
      })}
    </ul>
  );
}

export function SideNav({ route }: { route: Route }) {
  const { t } = useWords();
  const { admin } = useReader();
  const development = useDevelopment();
  return (
    <nav className="rail" aria-label={t('nav.main')}>
      <Ways route={route} />
      <h2 className="rail-title">{t('nav.rooms')}</h2>
      <RailRooms route={route} />
      {(admin || development) && (
        <a href="/inspect" className="way rail-foot">
          <Icon name="lens" />
          {t('nav.inspector')}
        </a>
      )}
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
