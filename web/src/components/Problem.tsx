/** Says what went wrong, and offers another try where one may help. */
import type { CityError } from '../errors.ts';
import { useWords } from '../i18n.ts';

export function Problem({ error, retry }: { error: CityError; retry?: () => void }) {
  const { t, error: text } = useWords();
  return (
    <p className="problem" role="alert">
      <span>{text(error.code)}</span>
      {retry && (
        <button type="button" className="link" onClick={retry}>
          {t('app.retry')}
        </button>
      )}
    </p>
  );
}
