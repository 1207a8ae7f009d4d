/** A message shown again, cut to a few lines, where somebody decides about it. */
import type { Message } from '../../../src/client/index.ts';
import { useWords } from '../i18n.ts';

export function Quote({ message }: { message: Message }) {
  const { t } = useWords();
  return (
    <blockquote className="quote">
      <b dir="auto">{message.username}</b>
      <p dir="auto">{message.deleted_at ? t('room.deleted') : message.body}</p>
    </blockquote>
  );
}
