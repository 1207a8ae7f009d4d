/** Who is in the room now; moderators may act on them from here. */
import { useEffect, useState } from 'react';
import type { RoomState } from '../../../src/client/index.ts';
import { useCity, usePresence } from '../../../src/client/react.ts';
import { useReader } from '../frame/me.ts';
import { useWords } from '../i18n.ts';
import { ModerateDialog, type Person } from '../moderation/ModerateDialog.tsx';
import { isAgent } from '../parts/Face.tsx';
import { Menu } from '../parts/Menu.tsx';
import { PersonItem } from '../parts/PersonItem.tsx';
import { useNameOf } from '../parts/useNames.ts';
import { useOpenRoom } from './context.ts';

export function People({ state }: { state: RoomState }) {
  const { t } = useWords();
  const { room } = useOpenRoom();
  const { userId, moderates } = useReader();
  const { users } = usePresence();
  const nameOf = useNameOf();
  const [chosen, setChosen] = useState<Person | null>(null);
  const people = state.online.map((id) => ({ id, name: nameOf(id) }));
  people.sort((a, b) => a.name.localeCompare(b.name));
  const rest = state.membersOnline - people.length;
  return (
    <>
      <ul className="people">
        {people.map((person) => (
          <PersonItem key={person.id} {...person} status={users[person.id]?.status ?? 'online'}>
            {moderates && person.id !== userId && !isAgent(person.id) && (
              <Menu
                label={t('room.personActions', { name: person.name })}
                choices={[
                  {
                    label: t('room.moderate', { name: person.name }),
                    onChoose: () => setChosen(person),
                  },
                ]}
              />
            )}
          </PersonItem>
        ))}
      </ul>
      {rest > 0 && people.length > 0 && <p className="note">{t('city.andMore', { n: rest })}</p>}
      {chosen && <ModerateDialog room={room} person={chosen} onClose={() => setChosen(null)} />}
    </>
  );
}

export function Inside({ state }: { state: RoomState }) {
  const { t } = useWords();
  const city = useCity();
  const { room } = useOpenRoom();
  const { id } = room;

  useEffect(() => city.presence.watch({ room_ids: [id] }), [city, id]);

  return (
    <aside className="inside" aria-labelledby="inside-title">
      <h2 id="inside-title">{t('room.here')}</h2>
      <People state={state} />
    </aside>
  );
}
