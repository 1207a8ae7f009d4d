/** What moderators did, newest first; a ban or a mute can be lifted from here. */
import { useCallback, useState } from 'react';
import type { ModerationAct, ModerationAction } from '../../../src/client/index.ts';
import { useCity } from '../../../src/client/react.ts';
import { useWords } from '../i18n.ts';
import { useNameOf } from '../parts/useNames.ts';
import { ModerateDialog } from './ModerateDialog.tsx';
import { Pages } from './Pages.tsx';
import { RoomPlate, useRoomName } from './RoomPlate.tsx';
import { PAGE, usePages } from './usePages.ts';

const KINDS: Partial<Record<ModerationAct['action'], 'ban' | 'mute'>> = {
  ban: 'ban',
  unban: 'ban',
  mute: 'mute',
  unmute: 'mute',
};

/** What lifts each act that still holds: the newest of its kind about its person and room. `acts`: newest first. */
function liftsOf(acts: readonly ModerationAct[]): ReadonlyMap<string, ModerationAction> {
  const lifts = new Map<string, ModerationAction>();
  const settled = new Set<string>();
  for (const { id, action, room_id, user_id, until } of acts) {
    const kind = KINDS[action];
    const about = `${room_id} ${user_id} ${kind}`;
    if (!kind || settled.has(about)) continue;
    settled.add(about);
    const holds = action === kind && (until === null || Date.parse(until) > Date.now());
    if (holds) lifts.set(id, `un${kind}`);
  }
  return lifts;
}

interface Props {
  readonly act: ModerationAct;
  readonly lift: ModerationAction | undefined;
  onLifted(): void;
}

function ActItem({ act, lift, onLifted }: Props) {
  const { t, brief, full } = useWords();
  const nameOf = useNameOf();
  const roomName = useRoomName(act.room_id ?? '');
  const [lifting, setLifting] = useState(false);
  return (
    <li className="desk-item">
      <p className="desk-line">
        <b dir="auto">{nameOf(act.moderator_id)}</b>
        <span>{t(`desk.act.${act.action}`)}</span>
        {act.user_id && <b dir="auto">{nameOf(act.user_id)}</b>}
        {act.room_id && <RoomPlate id={act.room_id} />}
        {act.until && <span className="quiet">{t('desk.until', { time: full(act.until) })}</span>}
        <time className="quiet" dateTime={act.created_at} title={full(act.created_at)}>
          {brief(act.created_at)}
        </time>
      </p>
      {act.reason && <p dir="auto">{act.reason}</p>}
      {lift && act.user_id && act.room_id && (
        <>
          <button type="button" className="link" onClick={() => setLifting(true)}>
            {t('desk.lift')}
          </button>
          {lifting && (
            <ModerateDialog
              room={{ id: act.room_id, name: roomName }}
              person={{ id: act.user_id, name: nameOf(act.user_id) }}
              first={lift}
              onClose={() => {
                setLifting(false);
                onLifted();
              }}
            />
          )}
        </>
      )}
    </li>
  );
}

export function Journal() {
  const { t } = useWords();
  const city = useCity();
  const load = useCallback(
    (before?: string) => city.rest.moderationLog({ limit: PAGE, ...(before ? { before } : {}) }),
    [city],
  );
  const pages = usePages(load);
  const lifts = liftsOf(pages.items ?? []);
  return (
    <Pages pages={pages} label={t('desk.log')} empty={t('desk.empty.log')}>
      {(act) => <ActItem key={act.id} act={act} lift={lifts.get(act.id)} onLifted={pages.again} />}
    </Pages>
  );
}
