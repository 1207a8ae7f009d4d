/** The frame of such a list: its empty, loading and error states, and the way to earlier pages. */
import type { ReactNode } from 'react';
import type { CityError } from '../../../src/client/index.ts';
import { useWords } from '../i18n.ts';
import { Problem } from '../parts/Problem.tsx';

interface Props<T> {
  readonly pages: {
    readonly items: readonly T[] | null;
    readonly more: boolean;
    readonly error: CityError | null;
    again(): void;
    earlier(): void;
  };
  readonly label: string;
  readonly empty: string;
  children(item: T): ReactNode;
}

export function Pages<T>({ pages, label, empty, children }: Props<T>) {
  const { t } = useWords();
  const { items, more, error, again, earlier } = pages;
  return (
    <section aria-label={label} aria-busy={items === null && !error}>
      {error && <Problem error={error} retry={again} />}
      {items === null && !error && <p className="note">{t('app.loading')}</p>}
      {items?.length === 0 && <p className="note">{empty}</p>}
      {items && items.length > 0 && <ol className="desk-list">{items.map(children)}</ol>}
      {more && (
        <button type="button" className="secondary" onClick={earlier}>
          {t('feed.earlier')}
        </button>
      )}
    </section>
  );
}
