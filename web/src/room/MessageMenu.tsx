/** What may be done with a message, by its author, by moderators, and by everybody: report it. */
import { useState } from 'react';
import type { Message } from '../../../src/client/index.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { ModerateDialog } from '../moderation/ModerateDialog.tsx';
import { ReportDialog } from '../moderation/ReportDialog.tsx';
import { Menu, type MenuChoice } from '../parts/Menu.tsx';
import { useOpenRoom } from './context.ts';
import { DeleteDialog } from './DeleteDialog.tsx';
import { edit } from './editing.ts';

export function MessageMenu({ message, mine }: { message: Message; mine: boolean }) {
  const { t } = useWords();
  const { room } = useOpenRoom();
  const { moderates } = useReader();
  const [open, setOpen] = useState<'delete' | 'report' | 'moderate' | null>(null);
  const close = () => setOpen(null);
  const { username: name, author_user_id: author } = message;

  const choices: MenuChoice[] = [];
  if (mine) choices.push({ label: t('room.edit'), onChoose: () => edit(message.id) });
  if (!mine) choices.push({ label: t('room.report'), onChoose: () => setOpen('report') });
  if (moderates && !mine && author) {
    choices.push({ label: t('room.moderate', { name }), onChoose: () => setOpen('moderate') });
  }
  if (mine || moderates) {
    choices.push({ label: t('room.delete'), danger: true, onChoose: () => setOpen('delete') });
  }
  return (
    <>
      <Menu label={t('room.actions', { name })} choices={choices} />
      {open === 'delete' && <DeleteDialog message={message} onClose={close} />}
      {open === 'report' && <ReportDialog message={message} onClose={close} />}
      {open === 'moderate' && author && (
        <ModerateDialog room={room} person={{ id: author, name }} onClose={close} />
      )}
    </>
  );
}
