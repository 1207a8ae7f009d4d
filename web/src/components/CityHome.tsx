/** City Home: the skyline of rooms, the feed as it happens, and who is at home. */
import { useWords } from '../i18n.ts';
import { useStore } from '../store.ts';
import { cityStore } from '../stores/city.ts';
import { Feed } from './Feed.tsx';
import { OnlineList } from './OnlineList.tsx';
import { Skyline } from './Skyline.tsx';
import { Title } from './Title.tsx';

export function CityHome() {
  const { t } = useWords();
  const totals = useStore(cityStore, (state) => state.totals);
  return (
    <div className="city">
      <header className="city-head">
        <Title text={t('city.title')} />
        <p className="city-totals">
          {totals &&
            t('city.totals', {
              rooms: t('city.rooms', { n: totals.rooms }),
              messages: t('city.messages', { n: totals.messages }),
            })}
        </p>
      </header>
      <Skyline />
      <div className="city-columns">
        <Feed />
        <OnlineList />
      </div>
    </div>
  );
}
