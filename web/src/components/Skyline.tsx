/** The rooms as a street: a house each, its lit windows the people inside, its flag the unread messages. */
import { useWords } from '../i18n.ts';
import { roomHref } from '../route.ts';
import { useStore } from '../store.ts';
import { cityStore, refreshRooms, showMoreRooms } from '../stores/city.ts';
import type { Room } from '../types.ts';
import { House } from './House.tsx';
import { Problem } from './Problem.tsx';

function Plot({ room }: { room: Room }) {
  const { t, inside } = useWords();
  return (
    <li className="plot">
      <a href={roomHref(room.slug)} className="plot-link" title={room.description ?? undefined}>
        <span className="plot-house">
          {room.unread > 0 && (
            <span className="flag" aria-hidden="true">
              {room.unread > 99 ? '99+' : room.unread}
            </span>
          )}
          <House slug={room.slug} lastSeq={room.last_seq} inside={room.members_online} />
        </span>
        <span className="plate" dir="auto">
          {room.name}
        </span>
        <span className={room.members_online > 0 ? 'plot-inside is-lit' : 'plot-inside'}>
          {inside(room.members_online)}
        </span>
        {room.unread > 0 && <span className="hidden">, {t('room.unread', { n: room.unread })}</span>}
      </a>
    </li>
  );
}

export function Skyline() {
  const { t } = useWords();
  const { rooms, roomsError, totals } = useStore(cityStore, (state) => state);
  return (
    <section className="skyline" aria-labelledby="skyline-title" aria-busy={rooms === null}>
      <h2 id="skyline-title" className="hidden">
        {t('nav.rooms')}
      </h2>
      {roomsError && <Problem error={roomsError} retry={() => void refreshRooms()} />}
      {rooms === null && !roomsError && <p className="skyline-note">{t('app.loading')}</p>}
      {rooms?.length === 0 && (
        <p className="skyline-note">
          <a href="#/new-room">{t('city.noRooms')}</a>
        </p>
      )}
      {rooms && rooms.length > 0 && (
        <>
          <ul className="plots">
            {rooms.map((room) => (
              <Plot key={room.id} room={room} />
            ))}
          </ul>
          <p className="skyline-note">
            {t('city.legend')}
            {totals && totals.rooms > rooms.length && (
              <button type="button" className="link" onClick={() => void showMoreRooms()}>
                {t('city.moreRooms')}
              </button>
            )}
          </p>
        </>
      )}
    </section>
  );
}
