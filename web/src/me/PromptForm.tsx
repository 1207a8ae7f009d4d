/** The place to put a question to one's Second Me. */
import { useState, type FormEvent, type KeyboardEvent } from 'react';
import { useCity } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Icon } from '../parts/Icon.tsx';
import { codePoints, isBlank, storable } from '../text.ts';

const PROMPT_MAX = 5_000;
const touch = window.matchMedia('(pointer: coarse)');

export function PromptForm() {
  const { t } = useWords();
  const { secondMe } = useCity();
  const [text, setText] = useState('');
  const length = codePoints(text);
  const bad = isBlank(text) || length > PROMPT_MAX;

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (bad) return;
    secondMe.ask(storable(text.trim()));
    setText('');
  }

  function onKey(event: KeyboardEvent) {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing || touch.matches) return;
    event.preventDefault();
    submit();
  }

  return (
    <form className="composer" onSubmit={submit}>
      <textarea
        rows={1}
        dir="auto"
        value={text}
        placeholder={t('me.prompt')}
        aria-label={t('me.prompt')}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKey}
      />
      <button type="submit" className="primary send" disabled={bad}>
        <Icon name="send" />
        <span className="hidden">{t('me.ask')}</span>
      </button>
      {length > PROMPT_MAX * 0.9 && (
        <p className={length > PROMPT_MAX ? 'problem' : 'hint'}>
          {t('room.tooLong', { n: length, max: PROMPT_MAX })}
        </p>
      )}
    </form>
  );
}
