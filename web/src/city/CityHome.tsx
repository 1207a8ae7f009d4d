/** City Home: the skyline of rooms, who is at home, and the feed as it happens. */
import { useRooms } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Title } from '../parts/Title.tsx';
import { Feed } from './Feed.tsx';
import { OnlineList } from './OnlineList.tsx';
import { Skyline } from './Skyline.tsx';

export function CityHome() {
  const { t } = useWords();
  const { rooms, hasMore } = useRooms();
  return (
    <div className="city">
      <header className="city-head">
        <Title text={t('city.title')} />
        <p className="city-totals">
          {rooms &&
            !hasMore &&
            t('city.totals', {
              rooms: t('city.rooms', { n: rooms.length }),
              messages: t('city.messages', { n: rooms.reduce((sum, room) => sum + room.last_seq, 0) }),
            })}
        </p>
      </header>
      <Skyline />
      <div className="city-columns">
        <OnlineList />
        <Feed />
      </div>
    </div>
  );
}
