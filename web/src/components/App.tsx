/** The page as a whole: the sign-in, or the frame around the place the reader is in. */
import { useEffect } from 'react';
import { useWords } from '../i18n.ts';
import { startLive } from '../live.ts';
import { roomHref, useRoute } from '../route.ts';
import { sessionStore } from '../session.ts';
import { useStore } from '../store.ts';
import { CityHome } from './CityHome.tsx';
import { ConnectionBanner } from './ConnectionBanner.tsx';
import { NewRoom } from './NewRoom.tsx';
import { RoomPage } from './RoomPage.tsx';
import { SecondMe } from './SecondMe.tsx';
import { SideNav, TabBar } from './SideNav.tsx';
import { SignIn } from './SignIn.tsx';
import { TopBar } from './TopBar.tsx';

function Place() {
  const route = useRoute();
  switch (route.page) {
    case 'room':
      return <RoomPage key={route.ref} roomRef={route.ref} />;
    case 'new-room':
      return <NewRoom />;
    case 'me':
      return <SecondMe />;
    case 'city':
      return <CityHome />;
  }
}

function City() {
  const { t } = useWords();
  const route = useRoute();
  const place = route.page === 'room' ? roomHref(route.ref) : route.page;

  useEffect(() => startLive(), []);

  // A new place begins at its heading, for the keyboard and for screen readers.
  useEffect(() => {
    document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [place]);

  return (
    <div className="frame" data-place={route.page}>
      <button
        type="button"
        className="skip"
        onClick={() => document.querySelector<HTMLElement>('main h1')?.focus()}
      >
        {t('app.skip')}
      </button>
      <TopBar />
      <SideNav route={route} />
      <main className="place">
        <ConnectionBanner />
        <Place />
      </main>
      <TabBar route={route} />
    </div>
  );
}

export function App() {
  const userId = useStore(sessionStore, (state) => state.session?.userId ?? null);
  return userId ? <City key={userId} /> : <SignIn />;
}
