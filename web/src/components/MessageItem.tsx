/** One message, with what its author or a moderator may do to it. */
import { memo, useState } from 'react';
import { asCityError, type CityError } from '../errors.ts';
import { useWords } from '../i18n.ts';
import { currentSession } from '../session.ts';
import { useStore } from '../store.ts';
import { deleteMessage } from '../stores/room.ts';
import type { Message } from '../types.ts';
import { edit, editing } from './editing.ts';
import { EditForm } from './EditForm.tsx';
import { Face } from './Face.tsx';
import { Problem } from './Problem.tsx';

interface Props {
  readonly message: Message;
  readonly dayLine: string | null;
  readonly newLine: string | null;
  readonly goesOn: boolean;
}

function Actions({ message, mine }: { message: Message; mine: boolean }) {
  const { t } = useWords();
  const [sure, setSure] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<CityError | null>(null);

  async function remove() {
    setBusy(true);
    try {
      await deleteMessage(message);
    } catch (failure) {
      setError(asCityError(failure));
      setSure(false);
    } finally {
      setBusy(false);
    }
  }

  if (error) return <Problem error={error} retry={() => void remove()} />;
  return (
    <div
      className={sure ? 'message-actions is-open' : 'message-actions'}
      role="group"
      aria-label={t('room.actions', { name: message.username })}
    >
      {sure ? (
        <>
          <span className="quiet">{t('room.deleteSure')}</span>
          <button
            type="button"
            className="link is-danger"
            disabled={busy}
            onClick={() => void remove()}
            autoFocus
          >
            {t('room.delete')}
          </button>
          <button type="button" className="link" onClick={() => setSure(false)}>
            {t('app.cancel')}
          </button>
        </>
      ) : (
        <>
          {mine && (
            <button type="button" className="link" onClick={() => edit(message.id)}>
              {t('room.edit')}
            </button>
          )}
          <button type="button" className="link" onClick={() => setSure(true)}>
            {t('room.delete')}
          </button>
        </>
      )}
    </div>
  );
}

export const MessageItem = memo(function MessageItem({ message, dayLine, newLine, goesOn }: Props) {
  const { t, time, full } = useWords();
  const session = currentSession();
  const isEdited = useStore(editing, (id) => id === message.id);
  const mine =
    message.author_user_id !== null && message.author_user_id === session?.userId && !message.author_agent_id;
  const mayDelete = mine || session?.roles.some((role) => role === 'moderator' || role === 'admin');
  const author = message.author_agent_id ?? message.author_user_id ?? '';
  const deleted = message.deleted_at !== null;
  const classes = ['message', mine && 'is-mine', goesOn && 'goes-on', deleted && 'is-deleted'];
  return (
    <>
      {dayLine && <li className="line is-day">{dayLine}</li>}
      {newLine && <li className="line is-new">{newLine}</li>}
      <li className={classes.filter(Boolean).join(' ')}>
        {!goesOn && <Face id={author} name={message.username} />}
        <div className="message-main">
          <p className={goesOn ? 'message-head hidden' : 'message-head'}>
            <b dir="auto">{message.username}</b>
            {message.author_agent_id && <span className="tag">{t('room.agent')}</span>}
            <time className="quiet" dateTime={message.created_at} title={full(message.created_at)}>
              {time(message.created_at)}
            </time>
          </p>
          {isEdited && !deleted ? (
            <EditForm message={message} />
          ) : (
            <p className="message-body" dir="auto">
              {deleted ? t('room.deleted') : message.body}
              {message.edited_at && !deleted && (
                <span className="quiet message-edited" title={full(message.edited_at)}>
                  {' '}
                  {t('room.edited')}
                </span>
              )}
            </p>
          )}
        </div>
        {mayDelete && !deleted && !isEdited && <Actions message={message} mine={mine} />}
      </li>
    </>
  );
});
