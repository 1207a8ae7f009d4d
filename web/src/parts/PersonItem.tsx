/** A line of a list of people: face, name, and their status in words. */
import type { ReactNode } from 'react';
import type { PresenceStatus } from '../../../src/client/index.ts';
import { useWords } from '../i18n.ts';
import { Face, isAgent } from './Face.tsx';

interface Props {
  readonly id: string;
  readonly name: string;
  readonly status: PresenceStatus;
  readonly children?: ReactNode;
}

export function PersonItem({ id, name, status, children }: Props) {
  const { t } = useWords();
  return (
    <li className="person">
      <Face id={id} name={name} status={status} />
      <span className="person-words">
        <span className="person-name" dir="auto">
          {name}
        </span>
        {isAgent(id) && (
          <span className="tag">{t(id.startsWith('svc_') ? 'room.service' : 'room.agent')}</span>
        )}
        {status === 'online' ? (
          <span className="hidden">, {t('status.online')}</span>
        ) : (
          <span className="quiet">{t('status.away')}</span>
        )}
      </span>
      {children}
    </li>
  );
}
