/** The city feed, newest first, growing as things happen. */
import { useWords } from '../i18n.ts';
import { roomIdHref } from '../route.ts';
import { useStore } from '../store.ts';
import { cityStore, refreshFeed, setScope, showEarlierFeed } from '../stores/city.ts';
import { nameOf, names } from '../stores/names.ts';
import type { FeedEvent } from '../types.ts';
import { Face } from './Face.tsx';
import { Problem } from './Problem.tsx';

/** The words of an event, from whichever field of its payload carries them. */
function wordsOf(event: FeedEvent): string {
  if (event.kind === 'room_created') return '';
  for (const field of ['snippet', 'body', 'text', 'message', 'title', 'name']) {
    const value = event.payload[field];
    if (typeof value === 'string' && value) return value;
  }
  return '';
}

function Happening({ event, roomName }: { event: FeedEvent; roomName: string | null }) {
  const { t, brief, full } = useWords();
  const known = useStore(names, (state) => state);
  const words = wordsOf(event);
  const actor = event.agent_id ?? event.user_id;
  const said = event.payload['username'];
  const name = typeof said === 'string' && said ? said : actor ? nameOf(known, actor) : t('feed.system');
  return (
    <li className={`happening is-${event.kind}`}>
      <Face id={actor ?? 'ag_city'} name={name} />
      <div className="happening-text">
        <p className="happening-head">
          <b dir="auto">{name}</b>
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
  const { feed, feedError, feedMore, feedLoading, scope, rooms } = useStore(cityStore, (state) => state);
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
      {feedError && <Problem error={feedError} retry={() => void refreshFeed()} />}
      {feed === null && !feedError && <p className="note">{t('app.loading')}</p>}
      {feed?.length === 0 && <p className="note">{t(scope === 'mine' ? 'feed.emptyMine' : 'feed.empty')}</p>}
      {feed && feed.length > 0 && (
        <ol className="happenings">
          {feed.map((event) => (
            <Happening
              key={event.id}
              event={event}
              roomName={event.room_id ? (roomNames.get(event.room_id) ?? null) : null}
            />
          ))}
        </ol>
      )}
      {feed && feed.length > 0 && feedMore && (
        <button
          type="button"
          className="secondary"
          disabled={feedLoading}
          onClick={() => void showEarlierFeed()}
        >
          {feedLoading ? t('app.loading') : t('feed.earlier')}
        </button>
      )}
    </section>
  );
}
