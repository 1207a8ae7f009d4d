/** The city feed, newest first, growing as things happen. */
import { useState } from 'react';
import type { FeedEvent, FeedScope } from '../../../src/client/index.ts';
import { useCity, useFeed, useRooms } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Face } from '../parts/Face.tsx';
import { Problem } from '../parts/Problem.tsx';
import { useNameOf } from '../parts/useNames.ts';
import { roomIdHref } from '../route.ts';

/** The words of an event, from whichever field of its payload carries them. */
function wordsOf(event: FeedEvent): string {
  if (event.kind === 'room_created') return '';
  for (const field of ['snippet', 'body', 'text', 'message', 'title', 'name']) {
    const value = event.payload[field];
    if (typeof value === 'string' && value) return value;
  }
  return '';
}

interface Props {
  readonly event: FeedEvent;
  readonly roomName: string | null;
  /** Whether it happened while the feed was being watched. */
  readonly fresh: boolean;
}

function Happening({ event, roomName, fresh }: Props) {
  const { t, brief, full } = useWords();
  const nameOf = useNameOf();
  const words = wordsOf(event);
  const actor = event.agent_id ?? event.user_id;
  const said = event.payload['username'];
  const name = typeof said === 'string' && said ? said : actor ? nameOf(actor) : t('feed.system');
  return (
    <li className={fresh ? 'happening is-fresh' : 'happening'}>
      <Face id={actor ?? 'ag_city'} name={name} />
      <div className="happening-text">
        <p className="happening-head">
          <b dir="auto">{name}</b>
          {event.agent_id && <span className="tag">{t('room.agent')}</span>}
          {event.kind === 'room_created' && <span className="quiet">{t('feed.opened')}</span>}
          {event.room_id && (
            <a href={roomIdHref(event.room_id)} className="plate is-small" dir="auto">
              {roomName ?? event.room_id.replace(/^room_city_/, '')}
            </a>
          )}
          <time className="quiet" dateTime={event.created_at} title={full(event.created_at)}>
            {brief(event.created_at)}
          </time>
        </p>
        {words && (
          <p className="happening-words" dir="auto">
            {words}
          </p>
        )}
      </div>
    </li>
  );
}

export function Feed() {
  const { t } = useWords();
  const city = useCity();
  const [scope, setScope] = useState<FeedScope>('city');
  const { events, hasOlder, loadingOlder, error } = useFeed(scope);
  const feed = city.feed(scope);
  const { rooms } = useRooms();
  const [since] = useState(() => Date.now());
  const roomNames = new Map(rooms?.map((room) => [room.id, room.name]));
  return (
    <section className="feed" aria-labelledby="feed-title">
      <header className="section-head">
        <h2 id="feed-title">{t('feed.title')}</h2>
        <div className="switch" role="group" aria-label={t('feed.scope')}>
          <button type="button" aria-pressed={scope === 'city'} onClick={() => setScope('city')}>
            {t('feed.all')}
          </button>
          <button type="button" aria-pressed={scope === 'mine'} onClick={() => setScope('mine')}>
            {t('feed.mine')}
          </button>
        </div>
      </header>
      {error && <Problem error={error} retry={() => void feed.refresh()} />}
      {events === null && !error && <p className="note">{t('app.loading')}</p>}
      {events?.length === 0 && (
        <p className="note">{t(scope === 'mine' ? 'feed.emptyMine' : 'feed.empty')}</p>
      )}
      {events && events.length > 0 && (
        <ol className="happenings">
          {events.map((event) => (
            <Happening
              key={event.id}
              event={event}
              fresh={Date.parse(event.created_at) > since}
              roomName={event.room_id ? (roomNames.get(event.room_id) ?? null) : null}
            />
          ))}
        </ol>
      )}
      {events && events.length > 0 && hasOlder && (
        <button
          type="button"
          className="secondary"
          disabled={loadingOlder}
          onClick={() => void feed.loadOlder()}
        >
          {loadingOlder ? t('app.loading') : t('feed.earlier')}
        </button>
      )}
    </section>
  );
}
