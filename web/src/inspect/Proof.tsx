/** What the numbers prove about this connection: nothing missing, nothing twice, what was replayed, how late it came. */
import { isWhole } from './check.ts';
import type { LineState } from './line.ts';
import { useWords } from './words.ts';

const MISSING_SHOWN = 10;

interface Props {
  state: LineState;
  /** The last change that is stored, as far as that may be known here. */
  storedChange: number | undefined;
  precisionMs: number | undefined;
}

export function Proof({ state: { check, phase, resumed, lags }, storedChange, precisionMs }: Props) {
  const { t } = useWords();
  const behind = check && storedChange !== undefined ? Math.max(0, storedChange - check.change) : 0;
  const away = phase === 'cut' || phase === 'lost';
  const verdict = () => {
    if (!check) return { tone: 'none', says: t('verdict.none') };
    if (!isWhole(check)) {
      const { missing, repeated, short } = check;
      const shown = missing.slice(0, MISSING_SHOWN).join(', ') || '0';
      return { tone: 'broken', says: t('verdict.broken', { missing: shown, repeated, short }) };
    }
    if (away && behind > 0) return { tone: 'behind', says: t('verdict.behind', { n: behind }) };
    return { tone: 'whole', says: t('verdict.whole') };
  };
  const { tone, says } = verdict();
  const sorted = lags.toSorted((a, b) => a - b).map(Math.round);
  return (
    <section className={`inspect-card inspect-proof is-${tone}`} aria-labelledby="proof">
      <h2 id="proof">{t('verdict')}</h2>
      <p role="status" className="inspect-verdict">
        {says}
      </p>
      {resumed && <p>{t('resumed', { since: resumed.since, n: resumed.messages })}</p>}
      {check && (
        <dl className="inspect-figures">
          <div>
            <dt>{t('place')}</dt>
            <dd>
              seq {check.seq}, change_seq {check.change}
            </dd>
          </div>
          <div>
            <dt>{t('live')}</dt>
            <dd>{check.live}</dd>
          </div>
          <div>
            <dt>{t('replayed')}</dt>
            <dd>{check.replayed}</dd>
          </div>
          <div>
            <dt>{t('replaced')}</dt>
            <dd>{check.replaced}</dd>
          </div>
          <div>
            <dt>{t('lag')}</dt>
            <dd>
              {sorted.length === 0
                ? t('lagNone')
                : t('lagValue', {
                    median: sorted[Math.floor(sorted.length / 2)] ?? 0,
                    worst: sorted.at(-1) ?? 0,
                    n: sorted.length,
                  })}
            </dd>
          </div>
        </dl>
      )}
      <p className="hint">
        {precisionMs === undefined ? t('lagNoClock') : t('lagClock', { ms: precisionMs })}
      </p>
    </section>
  );
}
