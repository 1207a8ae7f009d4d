/** A modal dialog: takes the focus to its first field, closes on Escape and outside, and gives the focus back. */
import { useEffect, useId, useRef, type ReactNode } from 'react';
import { useWords } from '../i18n.ts';
import { Icon } from './Icon.tsx';

interface Props {
  readonly title: string;
  onClose(): void;
  readonly children: ReactNode;
}

export function Dialog({ title, onClose, children }: Props) {
  const { t } = useWords();
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();

  useEffect(() => {
    const element = dialog.current;
    const before = document.activeElement;
    element?.showModal();
    element
      ?.querySelector<HTMLElement>('.dialog-content :is(input:checked, textarea, input, select, button)')
      ?.focus();
    return () => {
      element?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);

  return (
    <dialog
      ref={dialog}
      className="dialog"
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => event.target === dialog.current && onClose()}
    >
      <div className="dialog-sheet">
        <header className="dialog-head">
          <h2 id={titleId} dir="auto">
            {title}
          </h2>
          <button type="button" className="icon-button" onClick={onClose} aria-label={t('app.close')}>
            <Icon name="close" />
          </button>
        </header>
        <div className="dialog-content">{children}</div>
      </div>
    </dialog>
  );
}
