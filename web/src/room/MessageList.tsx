/** The log of a room: pages in earlier history on scrolling up, keeps its place, and marks what has been read. */
import { useEffect, useState } from 'react';
import type { Message, RoomState } from '../../../src/client/index.ts';
import { useConnection } from '../../../src/client/react.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { Icon } from '../parts/Icon.tsx';
import { Problem } from '../parts/Problem.tsx';
import { useOpenRoom } from './context.ts';
import { MessageItem } from './MessageItem.tsx';
import { OutgoingItem } from './OutgoingItem.tsx';
import { useScroll } from './useScroll.ts';

const SAME_BREATH_MS = 5 * 60_000;
/** Quiet before the newest message is read out, in milliseconds. */
const PAUSE_MS = 700;

const authorOf = (message: Message) => message.author_agent_id ?? message.author_user_id;
const dayOf = (iso: string) => new Date(iso).toDateString();

/** Whether a message goes on where the one before it stopped: same author, soon after, same day. */
function goesOn(before: Message | undefined, message: Message): boolean {
  if (!before || before.deleted_at || authorOf(before) !== authorOf(message)) return false;
  if (before.username !== message.username) return false;
  const apart = Date.parse(message.created_at) - Date.parse(before.created_at);
  return apart < SAME_BREATH_MS && dayOf(before.created_at) === dayOf(message.created_at);
}

function LogTop({ state, empty }: { state: RoomState; empty: boolean }) {
  const { t } = useWords();
  const { handle, room } = useOpenRoom();
  const { hasOlder, loadingOlder, olderError, messages } = state;
  const older = () => void handle.loadOlder();
  return (
    <div className="log-top">
      {olderError && <Problem error={olderError} retry={older} />}
      {hasOlder && !olderError && (
        <button type="button" className="secondary" onClick={older} disabled={loadingOlder}>
          {loadingOlder ? t('room.loadingOlder') : t('room.older')}
        </button>
      )}
      {!hasOlder && messages.length > 0 && <p className="note">{t('room.start', { room: room.name })}</p>}
      {empty && <p className="note">{t('room.empty')}</p>}
    </div>
  );
}

/** Says to a screen reader what others write while the room is open. */
function Announcer({ messages }: { messages: readonly Message[] }) {
  const { userId } = useReader();
  const last = messages.at(-1);
  const [begun] = useState(last?.seq ?? 0);
  const fresh = last && last.seq > begun && last.author_user_id !== userId && !last.deleted_at;
  const words = fresh ? `${last.username}: ${last.body}` : '';
  const [said, setSaid] = useState('');

  // Of a burst the last, and what an agent is writing once it pauses.
  useEffect(() => {
    const timer = setTimeout(() => setSaid(words), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [words]);

  return (
    <p className="hidden" role="status">
      {said}
    </p>
  );
}

export function MessageList({ state, newFrom }: { state: RoomState; newFrom: number | null }) {
  const { t, day } = useWords();
  const { handle } = useOpenRoom();
  const { userId } = useReader();
  const live = useConnection().phase === 'live';
  const { messages, outgoing, hasOlder, loadingOlder, olderError } = state;
  const [seen, setSeen] = useState(0);
  const lastSeq = messages.at(-1)?.seq ?? 0;
  const { box, away, toEnd, onScroll } = useScroll({
    first: messages[0]?.seq ?? 0,
    outgoing: outgoing.length,
    onAtEnd: (atEnd) => handle.follow(atEnd),
    onNearTop: () => {
      if (hasOlder && !loadingOlder && !olderError) void handle.loadOlder();
    },
  });
  const below = away ? messages.filter((m) => m.seq > seen && m.author_user_id !== userId).length : 0;

  useEffect(() => {
    const read = () => {
      if (away || document.visibilityState !== 'visible' || lastSeq === 0) return;
      setSeen(lastSeq);
      handle.read(lastSeq);
    };
    read();
    document.addEventListener('visibilitychange', read);
    return () => document.removeEventListener('visibilitychange', read);
  }, [handle, away, lastSeq]);

  return (
    <div className="log-frame">
      <div
        className="log"
        ref={box}
        onScroll={onScroll}
        tabIndex={0}
        role="region"
        aria-label={t('room.log')}
        aria-busy={loadingOlder}
      >
        <LogTop state={state} empty={messages.length + outgoing.length === 0} />
        <ol className="messages">
          {messages.map((message, at) => {
            const previous = messages[at - 1];
            const newDay = !previous || dayOf(previous.created_at) !== dayOf(message.created_at);
            const marked = message.seq === newFrom && at > 0;
            return (
              <MessageItem
                key={message.id}
                message={message}
                dayLine={newDay ? day(message.created_at) : null}
                newLine={marked ? t('room.newLine') : null}
                goesOn={!marked && goesOn(previous, message)}
              />
            );
          })}
          {outgoing.map((item) => (
            <OutgoingItem key={item.client_id} item={item} />
          ))}
        </ol>
      </div>
      {state.status === 'catching_up' && live && (
        <p className="log-note" role="status">
          {t('room.catchingUp')}
        </p>
      )}
      {away && (
        <button type="button" className="to-end" onClick={toEnd}>
          {below > 0 ? t('room.below', { n: below }) : t('room.toEnd')}
          <Icon name="down" />
        </button>
      )}
      <Announcer messages={messages} />
    </div>
  );
}
