/** Who of the others is typing. */
import { useWords } from '../i18n.ts';
import { useNameOf } from '../parts/useNames.ts';

export function Typing({ ids }: { ids: readonly string[] }) {
  const { t } = useWords();
  const [a, b, c] = ids.map(useNameOf());
  let said = '';
  if (a && c) said = t('room.typing.many');
  else if (a && b) said = t('room.typing.two', { a, b });
  else if (a) said = t('room.typing.one', { a });
  return <p className={said ? 'typing is-on' : 'typing'}>{said || '\u00a0'}</p>;
}
