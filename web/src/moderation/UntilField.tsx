/** For how long a mute or a ban holds. */
import { useWords } from '../i18n.ts';

const HOURS = { '10m': 1 / 6, '1h': 1, '1d': 24, '7d': 168 } as const;
const KINDS = ['10m', '1h', '1d', '7d', 'ever', 'date'] as const;

export interface Term {
  readonly kind: (typeof KINDS)[number];
  /** Local, as `datetime-local` gives it; for the kind `date`. */
  readonly date: string;
}

/** The end as the city takes it, null for none; `bad` where the date is missing or gone by. */
export function untilOf({ kind, date }: Term): string | null | 'bad' {
  if (kind === 'ever') return null;
  const at = kind === 'date' ? Date.parse(date) : Date.now() + HOURS[kind] * 3_600_000;
  return at > Date.now() ? new Date(at).toISOString() : 'bad';
}

export function UntilField({ term, onChange }: { term: Term; onChange(term: Term): void }) {
  const { t } = useWords();
  const bad = term.date !== '' && untilOf(term) === 'bad';
  return (
    <>
      <label className="field">
        <span>{t('mod.until')}</span>
        <select
          value={term.kind}
          onChange={({ target }) => onChange({ ...term, kind: target.value as Term['kind'] })}
        >
          {KINDS.map((kind) => (
            <option key={kind} value={kind}>
              {t(`mod.for.${kind}`)}
            </option>
          ))}
        </select>
      </label>
      {term.kind === 'date' && (
        <>
          <label className="field">
            <span>{t('mod.date')}</span>
            <input
              type="datetime-local"
              value={term.date}
              onChange={({ target }) => onChange({ ...term, date: target.value })}
              aria-invalid={bad}
              aria-describedby="until-bad"
              required
            />
          </label>
          <p id="until-bad" className={bad ? 'problem' : 'hidden'}>
            {bad ? t('mod.dateBad') : ''}
          </p>
        </>
      )}
    </>
  );
}
