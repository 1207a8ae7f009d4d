/** A button that opens a short menu; arrows move in it, Escape and leaving it close it. */
import { useEffect, useRef, useState, type FocusEvent, type KeyboardEvent } from 'react';
import { Icon } from './Icon.tsx';

export interface MenuChoice {
  readonly label: string;
  readonly danger?: boolean;
  onChoose(): void;
}

/** Room that a menu needs below its button, in pixels; with less it opens upwards. */
const NEEDED = 220;

export function Menu({ label, choices }: { label: string; choices: readonly MenuChoice[] }) {
  const [open, setOpen] = useState<'down' | 'up' | null>(null);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (open) list.current?.querySelector<HTMLElement>('[role=menuitem]')?.focus();
  }, [open]);

  function toggle() {
    const below = window.innerHeight - (button.current?.getBoundingClientRect().bottom ?? 0);
    setOpen(open ? null : below < NEEDED ? 'up' : 'down');
  }

  function close() {
    setOpen(null);
    button.current?.focus();
  }

  function onKey(event: KeyboardEvent) {
    const items = [...(list.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) items.at(to % items.length)?.focus();
    else if (event.key === 'Escape') close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  const leaves = ({ currentTarget, relatedTarget }: FocusEvent) => {
    if (!currentTarget.contains(relatedTarget)) setOpen(null);
  };

  return (
    <div className={open ? 'menu is-open' : 'menu'} onBlur={leaves}>
      <button
        ref={button}
        type="button"
        className="icon-button menu-button"
        aria-haspopup="menu"
        aria-expanded={open !== null}
        aria-label={label}
        onClick={toggle}
      >
        <Icon name="more" />
      </button>
      {open && (
        <div ref={list} role="menu" aria-label={label} className={`menu-list is-${open}`} onKeyDown={onKey}>
          {choices.map(({ label: text, danger, onChoose }) => (
            <button
              key={text}
              type="button"
              role="menuitem"
              tabIndex={-1}
              className={danger ? 'is-danger' : undefined}
              onClick={() => {
                close();
                onChoose();
              }}
            >
              {text}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
