/** One message: who, when, what, and the menu of what may be done with it. */
import { memo, useEffect, useRef, useState } from 'react';
import type { Message } from '../../../src/client/index.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { Face } from '../parts/Face.tsx';
import { Words } from '../parts/Words.tsx';
import { useStore } from '../store.ts';
import { EditForm } from './EditForm.tsx';
import { editing } from './editing.ts';
import { MessageMenu } from './MessageMenu.tsx';

interface Props {
  readonly message: Message;
  readonly dayLine: string | null;
  readonly newLine: string | null;
  readonly goesOn: boolean;
}

/** How long after its last word an agent counts as still writing, in milliseconds. */
const PAUSE_MS = 2_500;
/** Changes of an agent's message so soon are its writing and not a second thought. */
const WRITING_MS = 5 * 60_000;

/** Whether an agent is writing this message: it grows by edits. */
function useGrowing(message: Message): boolean {
  const [growing, setGrowing] = useState(false);
  const seen = useRef(message.change_seq);
  useEffect(() => {
    if (!message.author_agent_id || seen.current === message.change_seq) return;
    seen.current = message.change_seq;
    setGrowing(true);
    const timer = setTimeout(() => setGrowing(false), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [message.author_agent_id, message.change_seq]);
  return growing && message.deleted_at === null;
}

/** Whether to say that the message was changed after it was written. */
const wasEdited = ({ author_agent_id, created_at, edited_at, deleted_at }: Message): boolean =>
  edited_at !== null &&
  deleted_at === null &&
  (author_agent_id === null || Date.parse(edited_at) - Date.parse(created_at) > WRITING_MS);

export const MessageItem = memo(function MessageItem({ message, dayLine, newLine, goesOn }: Props) {
  const { t, time, full } = useWords();
  const { userId } = useReader();
  const isEdited = useStore(editing, (id) => id === message.id);
  const growing = useGrowing(message);
  const agent = message.author_agent_id !== null;
  const mine = !agent && message.author_user_id === userId;
  const deleted = message.deleted_at !== null;
  const classes = [
    'message',
    mine && 'is-mine',
    agent && 'is-agent',
    growing && 'is-growing',
    goesOn && 'goes-on',
    deleted && 'is-deleted',
  ];
  return (
    <>
      {dayLine && <li className="line is-day">{dayLine}</li>}
      {newLine && <li className="line is-new">{newLine}</li>}
      <li className={classes.filter(Boolean).join(' ')}>
        {!goesOn && (
          <Face id={message.author_agent_id ?? message.author_user_id ?? ''} name={message.username} />
        )}
        <div className="message-main">
          <p className={goesOn ? 'message-head hidden' : 'message-head'}>
            <b dir="auto">{message.username}</b>
            {agent && <span className="tag">{t('room.agent')}</span>}
            <time className="quiet" dateTime={message.created_at} title={full(message.created_at)}>
              {time(message.created_at)}
            </time>
            {growing && <span className="quiet">{t('room.writing')}</span>}
          </p>
          {isEdited && !deleted ? (
            <EditForm message={message} />
          ) : (
            <p className="message-body" dir="auto">
              <bdi>{deleted ? t('room.deleted') : <Words text={message.body} />}</bdi>
              {message.edited_at && wasEdited(message) && (
                <span className="quiet message-edited" title={full(message.edited_at)}>
                  {' '}
                  {t('room.edited')}
                </span>
              )}
            </p>
          )}
        </div>
        {!deleted && !isEdited && <MessageMenu message={message} mine={mine} />}
      </li>
    </>
  );
});
