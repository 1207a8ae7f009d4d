/** The place where a message is rewritten: Enter saves, Escape leaves it as it was. */
import { useState, type FormEvent, type KeyboardEvent } from 'react';
import type { Message } from '../../../src/client/index.ts';
import { useWords } from '../i18n.ts';
import { Problem } from '../parts/Problem.tsx';
import { useAct } from '../parts/useAct.ts';
import { codePoints, isBlank, storable } from '../text.ts';
import { useOpenRoom } from './context.ts';
import { edit } from './editing.ts';
import { refusalText } from './refusals.ts';

const BODY_MAX = 10_000;

function done(): void {
  edit(null);
  document.getElementById('composer-text')?.focus();
}

export function EditForm({ message }: { message: Message }) {
  const words = useWords();
  const { t } = words;
  const { handle } = useOpenRoom();
  const [text, setText] = useState(message.body);
  const { busy, error, run } = useAct();
  const long = codePoints(text) > BODY_MAX;

  async function save(event?: FormEvent) {
    event?.preventDefault();
    if (isBlank(text) || long) return;
    if (text === message.body) return done();
    if (await run(() => handle.edit(message.id, storable(text)))) done();
  }

  function onKey(event: KeyboardEvent) {
    if (event.key === 'Escape') done();
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault();
      void save();
    }
  }

  return (
    <form className="edit" onSubmit={(event) => void save(event)}>
      <textarea
        aria-label={t('room.edit')}
        value={text}
        rows={2}
        dir="auto"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKey}
        autoFocus
        onFocus={({ target }) => target.setSelectionRange(text.length, text.length)}
      />
      {long && <p className="problem">{t('room.tooLong', { n: codePoints(text), max: BODY_MAX })}</p>}
      {error && <Problem error={error} text={refusalText(words, error)} />}
      <div className="row">
        <button type="submit" className="link" disabled={busy || isBlank(text) || long}>
          {t('room.save')}
        </button>
        <button type="button" className="link" onClick={done}>
          {t('app.cancel')}
        </button>
      </div>
    </form>
  );
}
