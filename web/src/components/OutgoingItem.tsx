/** A message of ours that the city does not have yet. */
import { useWords } from '../i18n.ts';
import { currentSession } from '../session.ts';
import { connection } from '../sockets.ts';
import { useStore } from '../store.ts';
import { discard, sendAgain, type Outgoing } from '../stores/outbox.ts';
import { Face } from './Face.tsx';

export function OutgoingItem({ item }: { item: Outgoing }) {
  const { t, error } = useWords();
  const live = useStore(connection, (state) => state.phase === 'live');
  const session = currentSession();
  if (!session) return null;
  return (
    <li className={item.refused ? 'message is-mine is-refused' : 'message is-mine is-outgoing'}>
      <Face id={session.userId} name={session.name} />
      <div className="message-main">
        <p className="message-head">
          <b dir="auto">{session.name}</b>
          <span className="quiet">{!item.refused && t(live ? 'room.sending' : 'room.waiting')}</span>
        </p>
        <p className="message-body" dir="auto">
          {item.body}
        </p>
        {item.refused && (
          <p className="problem" role="alert">
            <span>{error(item.refused)}</span>
            <button type="button" className="link" onClick={() => sendAgain(item.clientId)}>
              {t('room.again')}
            </button>
            <button type="button" className="link" onClick={() => discard(item.clientId)}>
              {t('room.discard')}
            </button>
          </p>
        )}
      </div>
    </li>
  );
}
