/** Each room's place on each node, beside what is stored and what this page has. */
import type { InspectedRooms } from '../../../src/contract/inspect.ts';
import type { Check } from './check.ts';
import { useWords } from './words.ts';

interface Place {
  seq: number;
  change_seq: number;
}

interface Props {
  nodes: InspectedRooms | 'forbidden' | undefined;
  /** The room under the glass comes first. */
  roomId: string;
  check: Check | null;
}

/** A place, and how many changes it is behind what is stored. */
function Cell({ place, head }: { place: Place | undefined; head: Place }) {
  const { t } = useWords();
  if (!place) return <td className="quiet">{t('closed')}</td>;
  const behind = head.change_seq - place.change_seq;
  return (
    <td>
      {place.seq} / {place.change_seq}
      {behind > 0 && <strong className="inspect-behind"> {t('behind', { n: behind })}</strong>}
    </td>
  );
}

export function RoomNodes({ nodes, roomId, check }: Props) {
  const { t } = useWords();
  const here = check ? { seq: check.seq, change_seq: check.change } : undefined;
  if (nodes === undefined) return null;
  if (nodes === 'forbidden') {
    return (
      <section className="inspect-card" aria-labelledby="nodes">
        <h2 id="nodes">{t('nodes')}</h2>
        <p className="note">{t('nodesForbidden')}</p>
      </section>
    );
  }
  const first = (id: string) => (id === roomId ? 0 : 1);
  const heads = nodes.heads.toSorted(
    (a, b) => first(a.room_id) - first(b.room_id) || a.room_id.localeCompare(b.room_id),
  );
  return (
    <section className="inspect-card" aria-labelledby="nodes">
      <h2 id="nodes">{t('nodes')}</h2>
      <p className="hint">{t('nodesLead')}</p>
      {heads.length === 0 ? (
        <p className="note">{t('nodesNone')}</p>
      ) : (
        <div className="inspect-wide" role="group" aria-labelledby="nodes" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t('room')}</th>
                <th scope="col">{t('stored')}</th>
                {nodes.nodes.map(({ node }) => (
                  <th scope="col" key={node}>
                    {node}
                    {node === nodes.node && <span className="quiet"> ({t('asked')})</span>}
                  </th>
                ))}
                <th scope="col">{t('page')}</th>
              </tr>
            </thead>
            <tbody>
              {heads.map((head) => (
                <tr key={head.room_id} aria-current={head.room_id === roomId || undefined}>
                  <th scope="row">{head.room_id}</th>
                  <td>
                    {head.seq} / {head.change_seq}
                  </td>
                  {nodes.nodes.map(({ node, rooms }) => (
                    <Cell
                      key={node}
                      place={rooms.find((room) => room.room_id === head.room_id)}
                      head={head}
                    />
                  ))}
                  <Cell place={head.room_id === roomId ? here : undefined} head={head} />
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
