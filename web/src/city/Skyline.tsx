/** The rooms as a street: a house each, its lit windows the people inside, its flag the unread messages. */
import type { Room } from '../../../src/client/index.ts';
import { useCity, useRooms } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Problem } from '../parts/Problem.tsx';
import { roomHref } from '../route.ts';
import { House, Site } from './House.tsx';

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

/** The free plot at the end of the street. */
function NewPlot() {
  const { t } = useWords();
  return (
    <li className="plot is-free">
      <a href="#/new-room" className="plot-link">
        <span className="plot-house">
          <Site />
        </span>
        <span className="plate is-free">{t('nav.newRoom')}</span>
        <span className="plot-inside" aria-hidden="true">
          &nbsp;
        </span>
      </a>
    </li>
  );
}

export function Skyline() {
  const { t } = useWords();
  const city = useCity();
  const { rooms, error, hasMore, loading } = useRooms();
  return (
    <section className="skyline" aria-labelledby="skyline-title" aria-busy={rooms === null}>
      <h2 id="skyline-title" className="hidden">
        {t('nav.rooms')}
      </h2>
      {error && <Problem error={error} retry={() => void city.rooms.refresh()} />}
      {rooms === null && !error && <p className="skyline-note">{t('app.loading')}</p>}
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
            <NewPlot />
          </ul>
          <p className="skyline-note">
            {t('city.legend')}
            {hasMore && (
              <button
                type="button"
                className="link"
                disabled={loading}
                onClick={() => void city.rooms.loadMore()}
              >
                {t('city.moreRooms')}
              </button>
            )}
          </p>
        </>
      )}
    </section>
  );
}
