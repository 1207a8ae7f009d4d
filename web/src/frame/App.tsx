/** The page as a whole: the sign-in, or the frame around the place the reader is in. */
import { useEffect, useState } from 'react';
import { createCityClient, type CityClient } from '../../../src/client/index.ts';
import { CityProvider } from '../../../src/client/react.ts';
import { CityHome } from '../city/CityHome.tsx';
import { NewRoom } from '../city/NewRoom.tsx';
import { useWords } from '../i18n.ts';
import { SecondMe } from '../me/SecondMe.tsx';
import { Desk } from '../moderation/Desk.tsx';
import { RoomPage } from '../room/RoomPage.tsx';
import { roomHref, useRoute } from '../route.ts';
import { sessionStore, tokenGiver } from '../session.ts';
import { useStore } from '../store.ts';
import { ConnectionBanner } from './ConnectionBanner.tsx';
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
    case 'moderation':
      return <Desk />;
    case 'city':
      return <CityHome />;
  }
}

const focusHeading = () => document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });

function Frame() {
  const { t } = useWords();
  const route = useRoute();
  const place = route.page === 'room' ? roomHref(route.ref) : route.page;

  // A new place begins at its heading, for the keyboard and for screen readers.
  useEffect(() => {
    focusHeading();
    window.scrollTo(0, 0);
  }, [place]);

  return (
    <div className="frame" data-place={route.page}>
      <button type="button" className="skip" onClick={focusHeading}>
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

/** Holds the connection of whoever is signed in. */
function City() {
  const [client, setClient] = useState<CityClient | null>(null);

  useEffect(() => {
    const city = createCityClient({ getToken: tokenGiver() });
    setClient(city);
    return () => city.close();
  }, []);

  return (
    client && (
      <CityProvider client={client}>
        <Frame />
      </CityProvider>
    )
  );
}

export function App() {
  const userId = useStore(sessionStore, ({ session }) => session?.userId ?? null);
  return userId ? <City key={userId} /> : <SignIn />;
}
