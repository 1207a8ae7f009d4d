/** The log of a room: pages in earlier history on scrolling up, keeps its place, and marks what has been read. */
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useWords } from '../i18n.ts';
import { currentSession } from '../session.ts';
import { useStore } from '../store.ts';
import { outbox } from '../stores/outbox.ts';
import { loadOlder, markRead, roomStore, setAtEnd } from '../stores/room.ts';
import type { Message, Room } from '../types.ts';
import { Icon } from './Icon.tsx';
import { MessageItem } from './MessageItem.tsx';
import { OutgoingItem } from './OutgoingItem.tsx';
import { Problem } from './Problem.tsx';

const NEAR_TOP = 320;
const NEAR_END = 64;
const SAME_BREATH_MS = 5 * 60_000;

const authorOf = (message: Message) => message.author_agent_id ?? message.author_user_id;
const dayOf = (iso: string) => new Date(iso).toDateString();

/** Whether a message goes on where the one before it stopped: same author, soon after, same day. */
function goesOn(before: Message | undefined, message: Message): boolean {
  if (!before || before.deleted_at || authorOf(before) !== authorOf(message)) return false;
  if (before.username !== message.username) return false;
  const apart = Date.parse(message.created_at) - Date.parse(before.created_at);
  return apart < SAME_BREATH_MS && dayOf(before.created_at) === dayOf(message.created_at);
}

const NOTHING: readonly Message[] = [];

export function MessageList({ room }: { room: Room }) {
  const { t, day } = useWords();
  const log = useStore(roomStore, (state) => state?.log ?? NOTHING);
  const hasOlder = useStore(roomStore, (state) => state?.hasOlder ?? false);
  const loadingOlder = useStore(roomStore, (state) => state?.loadingOlder ?? false);
  const olderError = useStore(roomStore, (state) => state?.olderError ?? null);
  const catchingUp = useStore(roomStore, (state) => state?.catchingUp ?? false);
  const newFrom = useStore(roomStore, (state) => state?.newFrom ?? null);
  const items = useStore(outbox, (state) => state);
  const me = currentSession()?.userId ?? '';
  const arrived = new Set(log.map((message) => (message.author_user_id === me ? message.client_id : null)));
  const outgoing = items.filter((item) => item.roomId === room.id && !arrived.has(item.clientId));

  const box = useRef<HTMLDivElement>(null);
  const stuck = useRef(true);
  const before = useRef({ first: 0, height: 0, outgoing: 0 });
  const [away, setAway] = useState(false);
  const [seen, setSeen] = useState(0);
  const last = log.at(-1);
  const lastSeq = last?.seq ?? 0;
  const below = away ? log.filter((m) => m.seq > seen && m.author_user_id !== me).length : 0;

  const read = useCallback(() => {
    if (!stuck.current || document.visibilityState !== 'visible' || lastSeq === 0) return;
    setSeen(lastSeq);
    void markRead(lastSeq);
  }, [lastSeq]);

  const toEnd = useCallback(() => {
    const element = box.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, []);

  function onScroll() {
    const element = box.current;
    if (!element) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END;
    if (atEnd !== stuck.current) {
      stuck.current = atEnd;
      setAtEnd(atEnd);
      setAway(!atEnd);
      if (atEnd) read();
    }
    if (element.scrollTop < NEAR_TOP && hasOlder && !loadingOlder && !olderError) void loadOlder();
  }

  // Earlier messages are put in above without moving what is being read; at the end, the end stays in view.
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const first = log[0]?.seq ?? 0;
    const known = before.current;
    if (outgoing.length > known.outgoing) stuck.current = true;
    if (stuck.current) toEnd();
    else if (first < known.first) element.scrollTop += element.scrollHeight - known.height;
    before.current = { first, height: element.scrollHeight, outgoing: outgoing.length };
  });

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new ResizeObserver(() => stuck.current && toEnd());
    observer.observe(element);
    return () => observer.disconnect();
  }, [toEnd]);

  useEffect(() => {
    read();
    document.addEventListener('visibilitychange', read);
    return () => document.removeEventListener('visibilitychange', read);
  }, [read]);

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
        <div className="log-top">
          {olderError && <Problem error={olderError} retry={() => void loadOlder()} />}
          {hasOlder && !olderError && (
            <button
              type="button"
              className="secondary"
              onClick={() => void loadOlder()}
              disabled={loadingOlder}
            >
              {loadingOlder ? t('room.loadingOlder') : t('room.older')}
            </button>
          )}
          {!hasOlder && log.length > 0 && <p className="note">{t('room.start', { room: room.name })}</p>}
          {log.length === 0 && outgoing.length === 0 && <p className="note">{t('room.empty')}</p>}
        </div>
        <ol className="messages">
          {log.map((message, at) => {
            const previous = log[at - 1];
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
            <OutgoingItem key={item.clientId} item={item} />
          ))}
        </ol>
      </div>
      {catchingUp && (
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
      <p className="hidden" role="status">
        {last && last.author_user_id !== me && !last.deleted_at && lastSeq >= (newFrom ?? room.last_seq + 1)
          ? `${last.username}: ${last.body}`
          : ''}
      </p>
    </div>
  );
}
