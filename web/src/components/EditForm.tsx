/** The place where a message is rewritten: Enter saves, Escape leaves it as it was. */
import { useState, type FormEvent, type KeyboardEvent } from 'react';
import { asCityError, type CityError } from '../errors.ts';
import { useWords } from '../i18n.ts';
import { editMessage } from '../stores/room.ts';
import { codePoints, isBlank, storable } from '../text.ts';
import type { Message } from '../types.ts';
import { edit } from './editing.ts';
import { Problem } from './Problem.tsx';

const BODY_MAX = 10_000;

function done(): void {
  edit(null);
  document.getElementById('composer-text')?.focus();
}

export function EditForm({ message }: { message: Message }) {
  const { t } = useWords();
  const [text, setText] = useState(message.body);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<CityError | null>(null);
  const long = codePoints(text) > BODY_MAX;

  async function save(event?: FormEvent) {
    event?.preventDefault();
    if (busy || isBlank(text) || long) return;
    if (text === message.body) return done();
    setBusy(true);
    setError(null);
    try {
      await editMessage(message, storable(text));
      done();
    } catch (failure) {
      setError(asCityError(failure));
      setBusy(false);
    }
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
      {error && <Problem error={error} />}
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
