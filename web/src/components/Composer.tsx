/** The place to write in a room; the draft stays with the room. */
import { useEffect, useRef, useState, type FormEvent, type KeyboardEvent } from 'react';
import { useWords } from '../i18n.ts';
import { currentSession } from '../session.ts';
import { send } from '../stores/outbox.ts';
import { forgetNewMark, roomStore, sayTyping } from '../stores/room.ts';
import { codePoints, isBlank, storable } from '../text.ts';
import type { Room } from '../types.ts';
import { edit } from './editing.ts';
import { Icon } from './Icon.tsx';

const BODY_MAX = 10_000;
const TYPING_EVERY_MS = 3_000;

const drafts = new Map<string, string>();
/** On touch keyboards Enter is a new line, as everywhere else on a phone. */
const touch = window.matchMedia('(pointer: coarse)');

export function Composer({ room }: { room: Room }) {
  const { t } = useWords();
  const [text, setText] = useState(drafts.get(room.id) ?? '');
  const typingAt = useRef(0);
  const length = codePoints(text);

  function change(value: string) {
    setText(value);
    drafts.set(room.id, value);
    if (value === '') stopTyping();
    else if (Date.now() - typingAt.current > TYPING_EVERY_MS) {
      typingAt.current = Date.now();
      sayTyping(true);
    }
  }

  function stopTyping() {
    if (typingAt.current === 0) return;
    typingAt.current = 0;
    sayTyping(false);
  }

  useEffect(() => {
    if (!touch.matches) document.getElementById('composer-text')?.focus({ preventScroll: true });
  }, []);

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (isBlank(text) || length > BODY_MAX) return;
    send(room.id, storable(text.trim()));
    forgetNewMark();
    change('');
  }

  function editLast() {
    const me = currentSession()?.userId;
    const mine = roomStore
      .get()
      ?.log.findLast(
        (message) => message.author_user_id === me && !message.author_agent_id && !message.deleted_at,
      );
    if (mine) edit(mine.id);
  }

  function onKey(event: KeyboardEvent) {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey && !touch.matches) {
      event.preventDefault();
      submit();
    }
    if (event.key === 'ArrowUp' && text === '') {
      event.preventDefault();
      editLast();
    }
  }

  return (
    <form className="composer" onSubmit={submit}>
      <textarea
        id="composer-text"
        rows={1}
        dir="auto"
        value={text}
        placeholder={t('room.write', { room: room.name })}
        aria-label={t('room.write', { room: room.name })}
        aria-describedby="composer-hint"
        onChange={(event) => change(event.target.value)}
        onKeyDown={onKey}
        onBlur={stopTyping}
      />
      <button type="submit" className="primary send" disabled={isBlank(text) || length > BODY_MAX}>
        <Icon name="send" />
        <span className="hidden">{t('room.send')}</span>
      </button>
      <p id="composer-hint" className={length > BODY_MAX ? 'problem' : 'hint composer-hint'}>
        {length > BODY_MAX * 0.9 ? t('room.tooLong', { n: length, max: BODY_MAX }) : t('room.hint')}
      </p>
    </form>
  );
}
