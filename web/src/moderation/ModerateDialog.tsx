/** Acts on a person in a room: mute, kick, ban, and what lifts them, with a reason and an end. */
import { useId, useState, type FormEvent } from 'react';
import type { ModerationAction } from '../../../src/client/index.ts';
import { useCity } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { Dialog } from '../parts/Dialog.tsx';
import { Problem } from '../parts/Problem.tsx';
import { useAct } from '../parts/useAct.ts';
import { storable } from '../text.ts';
import { REASON_MAX } from './ReportDialog.tsx';
import { UntilField, untilOf, type Term } from './UntilField.tsx';

export interface Person {
  readonly id: string;
  readonly name: string;
}

interface Props {
  readonly room: { readonly id: string; readonly name: string };
  readonly person: Person;
  readonly first?: ModerationAction;
  onClose(): void;
}

const ACTIONS = ['mute', 'kick', 'ban', 'unmute', 'unban'] as const;

export function ModerateDialog({ room, person, first = 'mute', onClose }: Props) {
  const { t } = useWords();
  const city = useCity();
  const hints = useId();
  const [action, setAction] = useState<ModerationAction>(first);
  const [term, setTerm] = useState<Term>({ kind: '1h', date: '' });
  const [reason, setReason] = useState('');
  const [done, setDone] = useState(false);
  const { busy, error, run } = useAct();
  const { name } = person;
  const lasts = action === 'mute' || action === 'ban';
  const until = lasts ? untilOf(term) : null;

  async function act(event: FormEvent) {
    event.preventDefault();
    if (until === 'bad') return;
    const words = storable(reason.trim());
    const input = {
      room_id: room.id,
      user_id: person.id,
      action,
      ...(words ? { reason: words } : {}),
      ...(until ? { until } : {}),
    };
    setDone(await run(() => city.rest.moderate(input)));
  }

  return (
    <Dialog title={t('mod.title', { name })} onClose={onClose}>
      <div role="status">{done && <p>{t('mod.done', { action: t(`mod.${action}`), name })}</p>}</div>
      {done ? (
        <div className="row dialog-foot">
          <button type="button" className="primary" onClick={onClose} autoFocus>
            {t('app.close')}
          </button>
        </div>
      ) : (
        <form onSubmit={(event) => void act(event)}>
          <p className="quiet">{t('mod.lead', { room: room.name })}</p>
          <fieldset className="choices">
            <legend>{t('mod.action')}</legend>
            {ACTIONS.map((one) => (
              <div key={one} className="choice">
                <label>
                  <input
                    type="radio"
                    name="action"
                    checked={one === action}
                    onChange={() => setAction(one)}
                    aria-describedby={`${hints}${one}`}
                  />
                  {t(`mod.${one}`)}
                </label>
                <span id={`${hints}${one}`} className="quiet">
                  {t(`mod.hint.${one}`)}
                </span>
              </div>
            ))}
          </fieldset>
          {lasts && <UntilField term={term} onChange={setTerm} />}
          <label className="field">
            <span>
              {t('mod.reason')} <i>{t('new.optional')}</i>
            </span>
            <textarea
              rows={2}
              maxLength={REASON_MAX}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          </label>
          {error && (
            <Problem error={error} text={error.code === 'forbidden' ? t('mod.notYourPeer') : undefined} />
          )}
          <div className="row dialog-foot">
            <button
              type="submit"
              className={lasts || action === 'kick' ? 'primary is-danger' : 'primary'}
              disabled={busy || until === 'bad'}
            >
              {t(`mod.${action}`)}
            </button>
            <button type="button" className="secondary" onClick={onClose}>
              {t('app.cancel')}
            </button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
