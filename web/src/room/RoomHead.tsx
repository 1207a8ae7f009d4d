/** The head of a room: its plate, what it is for, and on phones the way to who is inside. */
import { useState } from 'react';
import type { RoomState } from '../../../src/client/index.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { RoomCare } from '../moderation/RoomCare.tsx';
import { Dialog } from '../parts/Dialog.tsx';
import { Icon } from '../parts/Icon.tsx';
import { Title } from '../parts/Title.tsx';
import { useOpenRoom } from './context.ts';
import { People } from './Inside.tsx';

function RoomWay() {
  const { t } = useWords();
  return (
    <a href="#/" className="icon-button room-back" aria-label={t('room.back')}>
      <Icon name="back" />
    </a>
  );
}

export function RoomHead({ state }: { state: RoomState }) {
  const { t, inside, duration } = useWords();
  const { room } = useOpenRoom();
  const { userId, moderates } = useReader();
  const [open, setOpen] = useState<'about' | 'care' | null>(null);
  const slow = room.slow_mode_s > 0 && t('room.slow', { time: duration(room.slow_mode_s) });
  const mayCare = moderates || room.created_by === userId;
  return (
    <header className="room-head">
      <RoomWay />
      <Title text={room.name}>
        <span className="plate is-large">{room.name}</span>
      </Title>
      <p className="room-about">
        <span className={state.membersOnline > 0 ? 'plot-inside is-lit' : 'plot-inside'}>
          {inside(state.membersOnline)}
        </span>
        {slow && <span className="tag">{slow}</span>}
        {room.description && (
          <span className="room-description" dir="auto">
            {room.description}
          </span>
        )}
      </p>
      <div className="room-tools">
        <button
          type="button"
          className="icon-button room-more"
          onClick={() => setOpen('about')}
          aria-label={`${t('room.about')}: ${inside(state.membersOnline)}`}
          title={t('room.about')}
        >
          <Icon name="people" />
          {state.membersOnline || ''}
        </button>
        {mayCare && (
          <button
            type="button"
            className="icon-button"
            onClick={() => setOpen('care')}
            aria-label={t('care.open')}
            title={t('care.open')}
          >
            <Icon name="care" />
          </button>
        )}
      </div>
      {open === 'about' && (
        <Dialog title={room.name} onClose={() => setOpen(null)}>
          {room.description && <p dir="auto">{room.description}</p>}
          {slow && <p className="quiet">{slow}</p>}
          <h3 className="dialog-part">{t('room.here')}</h3>
          <People state={state} />
        </Dialog>
      )}
      {open === 'care' && <RoomCare room={room} onClose={() => setOpen(null)} />}
    </header>
  );
}
