/** Says what went wrong, and offers another try where one may help. */
import type { CityError } from '../../../src/client/index.ts';
import { useWords } from '../i18n.ts';

interface Props {
  readonly error: CityError;
  retry?: (() => void) | undefined;
  /** Instead of what the error's code says. */
  readonly text?: string | undefined;
}

export function Problem({ error, retry, text }: Props) {
  const { t, error: says } = useWords();
  return (
    <p className="problem" role="alert">
      <span>{text ?? says(error.code)}</span>
      {retry && (
        <button type="button" className="link" onClick={retry}>
          {t('app.retry')}
        </button>
      )}
    </p>
  );
}
