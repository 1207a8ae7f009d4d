/** Why the city did not take a message, in words for its author. */
import type { CityError } from '../../../src/client/index.ts';
import type { Words } from '../i18n.ts';

/** In a room that one is in, `forbidden` means muted, and `invalid` means filtered: the rest is checked before sending. */
export function refusalText({ t, error }: Words, { code }: CityError): string {
  if (code === 'forbidden') return t('room.muted');
  if (code === 'invalid') return t('room.filtered');
  return error(code);
}
