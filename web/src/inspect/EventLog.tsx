/** Everything that came over the connection, newest first, as it was on the wire. */
import type { Row } from './line.ts';
import { useWords } from './words.ts';

const PAYLOAD_SHOWN = 400;

const time = (at: number) => {
  const date = new Date(at);
  return `${date.toLocaleTimeString('uk')}.${String(date.getMilliseconds()).padStart(3, '0')}`;
};
const text = (payload: unknown) => {
  const json = payload === null ? '' : (JSON.stringify(payload) ?? '');
  return json.length > PAYLOAD_SHOWN ? `${json.slice(0, PAYLOAD_SHOWN)}…` : json;
};

export function EventLog({ rows }: { rows: readonly Row[] }) {
  const { t } = useWords();
  return (
    <section className="inspect-card" aria-labelledby="events">
      <h2 id="events">{t('events')}</h2>
      {rows.length === 0 ? (
        <p className="note">{t('eventsNone')}</p>
      ) : (
        <div className="inspect-wide is-tall" role="group" aria-labelledby="events" tabIndex={0}>
          <table>
            <thead>
              <tr>
                <th scope="col">{t('time')}</th>
                <th scope="col">{t('kind')}</th>
                <th scope="col">{t('event')}</th>
                <th scope="col">seq</th>
                <th scope="col">change_seq</th>
                <th scope="col">{t('lagColumn')}</th>
                <th scope="col">{t('room')}</th>
                <th scope="col">{t('payload')}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.id} className={`is-${row.kind}`}>
                  <td>{time(row.at)}</td>
                  <td>
                    <span className={`inspect-kind is-${row.kind}`}>{t(`kind.${row.kind}`)}</span>
                  </td>
                  <td>{row.event}</td>
                  <td>{row.seq}</td>
                  <td>{row.change}</td>
                  <td>{row.lagMs === null ? '' : Math.round(row.lagMs)}</td>
                  <td>{row.roomId?.replace('room_city_', '')}</td>
                  <td className="inspect-payload">
                    <code>{text(row.payload)}</code>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
