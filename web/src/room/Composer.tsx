/** The place to write in a room; the draft stays with the room for as long as the tab is open. */
import { useEffect, useState, type FormEvent, type KeyboardEvent } from 'react';
import type { Message } from '../../../src/client/index.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { Icon } from '../parts/Icon.tsx';
import { codePoints, isBlank, storable } from '../text.ts';
import { useOpenRoom } from './context.ts';
import { edit } from './editing.ts';

const BODY_MAX = 10_000;

/** On touch keyboards Enter is a new line, as everywhere else on a phone. */
const touch = window.matchMedia('(pointer: coarse)');

interface Props {
  readonly messages: readonly Message[];
  onSent(): void;
}

export function Composer({ messages, onSent }: Props) {
  const { t } = useWords();
  const { handle, room } = useOpenRoom();
  const { userId } = useReader();
  const draft = `daarion.draft.${room.id}`;
  const [text, setText] = useState(() => sessionStorage.getItem(draft) ?? '');
  const length = codePoints(text);

  function change(value: string) {
    setText(value);
    if (value) sessionStorage.setItem(draft, value);
    else sessionStorage.removeItem(draft);
    handle.setTyping(value !== '');
  }

  useEffect(() => {
    if (!touch.matches) document.getElementById('composer-text')?.focus({ preventScroll: true });
  }, []);

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (isBlank(text) || length > BODY_MAX) return;
    handle.send(storable(text.trim()));
    onSent();
    change('');
  }

  function editLast() {
    const mine = messages.findLast(
      (message) => message.author_user_id === userId && !message.author_agent_id && !message.deleted_at,
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
        onBlur={() => handle.setTyping(false)}
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
