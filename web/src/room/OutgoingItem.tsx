/** A message of ours that the city does not have yet. */
import type { Outgoing } from '../../../src/client/index.ts';
import { useConnection } from '../../../src/client/react.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { Face } from '../parts/Face.tsx';
import { useOpenRoom } from './context.ts';
import { refusalText } from './refusals.ts';

export function OutgoingItem({ item }: { item: Outgoing }) {
  const words = useWords();
  const { t } = words;
  const { handle } = useOpenRoom();
  const live = useConnection().phase === 'live';
  const { userId, name } = useReader();
  const { error } = item;
  return (
    <li className={error ? 'message is-mine is-refused' : 'message is-mine is-outgoing'}>
      <Face id={userId} name={name} />
      <div className="message-main">
        <p className="message-head">
          <b dir="auto">{name}</b>
          <span className="quiet">{!error && t(live ? 'room.sending' : 'room.waiting')}</span>
        </p>
        <p className="message-body" dir="auto">
          {item.body}
        </p>
        {error && (
          <p className="problem" role="alert">
            <span>{refusalText(words, error)}</span>
            <button type="button" className="link" onClick={() => handle.retry(item.client_id)}>
              {t('room.again')}
            </button>
            <button type="button" className="link" onClick={() => handle.discard(item.client_id)}>
              {t('room.discard')}
            </button>
          </p>
        )}
      </div>
    </li>
  );
}
