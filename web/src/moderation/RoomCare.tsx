/** The settings of a room, for its creator and moderators; for admins also its end. */
import { useState, type FormEvent } from 'react';
import type { Room } from '../../../src/client/index.ts';
import { useCity } from '../../../src/client/react.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { Dialog } from '../parts/Dialog.tsx';
import { Problem } from '../parts/Problem.tsx';
import { useAct } from '../parts/useAct.ts';
import { refusalText } from '../room/refusals.ts';
import { isBlank, storable } from '../text.ts';

const PACES = [0, 5, 15, 30, 60, 300, 900, 3600];

function DeleteRoom({ room, onClose }: { room: Room; onClose(): void }) {
  const { t } = useWords();
  const city = useCity();
  const [sure, setSure] = useState(false);
  const { busy, error, run } = useAct();

  async function remove() {
    if (!(await run(() => city.rest.deleteRoom({ room_id: room.id })))) return;
    void city.rooms.refresh();
    onClose();
  }

  return (
    <div className="danger-zone">
      {sure ? (
        <>
          <p>{t('care.deleteSure')}</p>
          <div className="row">
            <button
              type="button"
              className="primary is-danger"
              disabled={busy}
              onClick={() => void remove()}
              autoFocus
            >
              {t('care.deleteYes')}
            </button>
            <button type="button" className="secondary" onClick={() => setSure(false)}>
              {t('app.cancel')}
            </button>
          </div>
        </>
      ) : (
        <button type="button" className="link is-danger" onClick={() => setSure(true)}>
          {t('care.delete')}
        </button>
      )}
      {error && <Problem error={error} />}
    </div>
  );
}

export function RoomCare({ room, onClose }: { room: Room; onClose(): void }) {
  const words = useWords();
  const { t, duration } = words;
  const city = useCity();
  const { admin } = useReader();
  const [name, setName] = useState(room.name);
  const [description, setDescription] = useState(room.description ?? '');
  const [pace, setPace] = useState(room.slow_mode_s);
  const { busy, error, run } = useAct();
  const change = {
    ...(name.trim() === room.name ? {} : { name: storable(name.trim()) }),
    ...(description.trim() === (room.description ?? '')
      ? {}
      : { description: storable(description.trim()) || null }),
    ...(pace === room.slow_mode_s ? {} : { slow_mode_s: pace }),
  };

  async function save(event: FormEvent) {
    event.preventDefault();
    if (isBlank(name)) return;
    if (Object.keys(change).length === 0) return onClose();
    if (!(await run(() => city.rest.updateRoom({ room_id: room.id, ...change })))) return;
    void city.rooms.refresh();
    onClose();
  }

  return (
    <Dialog title={t('care.title', { room: room.name })} onClose={onClose}>
      <form onSubmit={(event) => void save(event)}>
        <label className="field">
          <span>{t('new.name')}</span>
          <input value={name} maxLength={80} onChange={({ target }) => setName(target.value)} required />
        </label>
        <label className="field">
          <span>
            {t('new.description')} <i>{t('new.optional')}</i>
          </span>
          <textarea
            rows={3}
            maxLength={500}
            value={description}
            onChange={({ target }) => setDescription(target.value)}
          />
        </label>
        <label className="field">
          <span>{t('care.slow')}</span>
          <select
            value={pace}
            onChange={({ target }) => setPace(Number(target.value))}
            aria-describedby="pace-hint"
          >
            {[...new Set([...PACES, room.slow_mode_s])]
              .sort((a, b) => a - b)
              .map((seconds) => (
                <option key={seconds} value={seconds}>
                  {seconds === 0 ? t('care.slowOff') : duration(seconds)}
                </option>
              ))}
          </select>
        </label>
        <p id="pace-hint" className="hint">
          {t('care.slowHint')}
        </p>
        {error && (
          <Problem error={error} text={error.code === 'invalid' ? refusalText(words, error) : undefined} />
        )}
        <div className="row dialog-foot">
          <button type="submit" className="primary" disabled={busy || isBlank(name)}>
            {t('room.save')}
          </button>
          <button type="button" className="secondary" onClick={onClose}>
            {t('app.cancel')}
          </button>
        </div>
      </form>
      {admin && !room.is_default && <DeleteRoom room={room} onClose={onClose} />}
    </Dialog>
  );
}
