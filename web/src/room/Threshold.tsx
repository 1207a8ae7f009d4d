/** What is shown where there is no room to show: while it opens, when it may not be entered, after it closed. */
import type { RoomState } from '../../../src/client/index.ts';
import { House } from '../city/House.tsx';
import { useWords } from '../i18n.ts';
import { Problem } from '../parts/Problem.tsx';
import { Title } from '../parts/Title.tsx';

interface Props {
  readonly state: RoomState;
  readonly name: string;
  again(): void;
}

export function Threshold({ state, name, again }: Props) {
  const { t } = useWords();
  const { room, closed, error } = state;
  const missing = error?.code === 'not_found';
  const barred = error?.code === 'forbidden';
  const says = closed
    ? t(`room.closed.${closed}`)
    : missing
      ? t('room.notFound')
      : barred
        ? t('room.closed.banned')
        : null;
  return (
    <div className="threshold" aria-busy={!closed && !error}>
      <House slug={room?.slug ?? name} lastSeq={room?.last_seq ?? 0} inside={0} />
      <Title text={name}>
        <span className="plate is-large">{name}</span>
      </Title>
      {says && (
        <p className="lead" role="status">
          {says}
        </p>
      )}
      {error && !says && <Problem error={error} retry={again} />}
      {!closed && !error && <p className="note">{t('app.loading')}</p>}
      {(closed === 'left' || closed === 'kicked') && (
        <button type="button" className="primary" onClick={again}>
          {t('room.rejoin')}
        </button>
      )}
      {(closed || error) && <a href="#/">{t('room.back')}</a>}
    </div>
  );
}
