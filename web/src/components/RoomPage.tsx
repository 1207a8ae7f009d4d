/** A room: its plate, its log, who is inside, and the place to write. */
import { useEffect } from 'react';
import { useWords } from '../i18n.ts';
import { currentSession } from '../session.ts';
import { useStore } from '../store.ts';
import { nameOf, names } from '../stores/names.ts';
import { closeRoom, joinOpenRoom, openRoom, roomStore } from '../stores/room.ts';
import { Composer } from './Composer.tsx';
import { Face } from './Face.tsx';
import { Icon } from './Icon.tsx';
import { MessageList } from './MessageList.tsx';
import { Problem } from './Problem.tsx';
import { Title } from './Title.tsx';

function Inside() {
  const { t } = useWords();
  const here = useStore(roomStore, (state) => state?.here);
  const count = useStore(roomStore, (state) => state?.membersOnline ?? 0);
  const known = useStore(names, (state) => state);
  const people = (here ?? []).map((id) => ({ id, name: nameOf(known, id) }));
  people.sort((a, b) => a.name.localeCompare(b.name));
  return (
    <aside className="inside" aria-labelledby="inside-title">
      <h2 id="inside-title">{t('room.here')}</h2>
      <ul className="people">
        {people.map(({ id, name }) => (
          <li key={id} className="person">
            <Face id={id} name={name} status="online" />
            <span className="person-name" dir="auto">
              {name}
            </span>
          </li>
        ))}
      </ul>
      {count > people.length && people.length > 0 && (
        <p className="note">{t('city.andMore', { n: count - people.length })}</p>
      )}
    </aside>
  );
}

function Typing() {
  const { t } = useWords();
  const typing = useStore(roomStore, (state) => state?.typing);
  const known = useStore(names, (state) => state);
  const me = currentSession()?.userId;
  const [a, b, c] = (typing ?? []).filter((id) => id !== me).map((id) => nameOf(known, id));
  let said = '';
  if (a && c) said = t('room.typing.many');
  else if (a && b) said = t('room.typing.two', { a, b });
  else if (a) said = t('room.typing.one', { a });
  return <p className={said ? 'typing is-on' : 'typing'}>{said || '\u00a0'}</p>;
}

export function RoomPage({ roomRef }: { roomRef: string }) {
  const { t, inside } = useWords();
  const state = useStore(roomStore, (open) => open);

  useEffect(() => {
    openRoom(roomRef);
    return closeRoom;
  }, [roomRef]);

  const back = (
    <a href="#/" className="icon-button room-back" aria-label={t('room.back')}>
      <Icon name="back" />
    </a>
  );
  const room = state?.room;
  if (!state || !room || state.closed) {
    const reason = state?.closed;
    return (
      <div className="room is-bare">
        <header className="room-head">
          {back}
          <Title text={room?.name ?? roomRef} />
        </header>
        <div className="room-bare">
          {reason && <p className="lead">{t(`room.closed.${reason}`)}</p>}
          {(reason === 'left' || reason === 'kicked') && (
            <button type="button" className="primary" onClick={() => openRoom(roomRef)}>
              {t('room.rejoin')}
            </button>
          )}
          {!reason && state?.error?.code === 'not_found' && <p className="lead">{t('room.notFound')}</p>}
          {!reason && state?.error && state.error.code !== 'not_found' && (
            <Problem error={state.error} retry={() => void joinOpenRoom()} />
          )}
          {!reason && !state?.error && <p className="note">{t('app.loading')}</p>}
          {(reason || state?.error) && <a href="#/">{t('room.back')}</a>}
        </div>
      </div>
    );
  }
  return (
    <div className="room">
      <header className="room-head">
        {back}
        <Title text={room.name}>
          <span className="plate is-large">{room.name}</span>
        </Title>
        <p className="room-about">
          <span className={state.membersOnline > 0 ? 'plot-inside is-lit' : 'plot-inside'}>
            {inside(state.membersOnline)}
          </span>
          {room.description && (
            <span className="room-description" dir="auto">
              {room.description}
            </span>
          )}
        </p>
      </header>
      <div className="room-body">
        <MessageList room={room} />
        <Inside />
      </div>
      <div className="room-foot">
        <Typing />
        <Composer key={room.id} room={room} />
      </div>
    </div>
  );
}
