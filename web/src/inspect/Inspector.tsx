/** The inspector: the way in, then one room of the city under the glass. */
import { useEffect, useState, type FormEvent } from 'react';
import type { Room } from '../../../src/contract/rooms.ts';
import { devToken, isDevelopment, listRooms, Refused } from './api.ts';
import { RoomGlass } from './RoomGlass.tsx';
import { switchLang, useWords } from './words.ts';

const KEPT = 'daarion.inspector';
const ROOM = 'room_city_general';

/** The token of this tab; in development that of an admin. */
function useToken() {
  const [token, setToken] = useState(() => sessionStorage.getItem(KEPT));
  /** Null until the server has said. */
  const [development, setDevelopment] = useState<boolean | null>(null);
  const keep = (value: string | null) => {
    if (value === null) sessionStorage.removeItem(KEPT);
    else sessionStorage.setItem(KEPT, value);
    setToken(value);
  };
  useEffect(() => {
    void isDevelopment()
      .then(async (answer) => {
        if (answer && sessionStorage.getItem(KEPT) === null) {
          setToken(await devToken('u_inspector', 'Inspector', ['admin']));
        }
        setDevelopment(answer);
      })
      .catch(() => setDevelopment(false)); // without an answer a token is asked for
  }, []);
  return { token, keep, development };
}

function TokenForm({ onToken, refusal }: { onToken: (token: string) => void; refusal: string | null }) {
  const { t } = useWords();
  const [value, setValue] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const token = value.trim().replace(/^Bearer\s+/i, '');
    if (token) onToken(token);
  };
  return (
    <form className="inspect-card" onSubmit={submit}>
      <label className="field">
        <span>{t('token')}</span>
        <textarea
          rows={4}
          spellCheck={false}
          autoComplete="off"
          value={value}
          onChange={(event) => setValue(event.target.value)}
          aria-describedby="token-hint"
          required
        />
      </label>
      <p id="token-hint" className="hint">
        {t('tokenHint')}
      </p>
      <p role="alert" className={refusal ? 'problem' : 'hidden'}>
        {refusal && t('refusedCall', { code: refusal })}
      </p>
      <p className="row">
        <button type="submit" className="primary">
          {t('enter')}
        </button>
      </p>
    </form>
  );
}

export function Inspector() {
  const { t, lang } = useWords();
  const { token, keep, development } = useToken();
  const [refusal, setRefusal] = useState<string | null>(null);
  const [rooms, setRooms] = useState<Room[]>([]);
  const [roomId, setRoomId] = useState(ROOM);

  useEffect(() => {
    document.title = `DAARION City: ${t('title')}`;
  }, [t, lang]);

  useEffect(() => {
    if (token === null) return;
    let current = true;
    listRooms(token).then(
      (list) => {
        if (!current) return;
        setRefusal(null);
        setRooms(list);
        setRoomId((chosen) => (list.some(({ id }) => id === chosen) ? chosen : (list[0]?.id ?? chosen)));
      },
      (error: unknown) => {
        if (!current) return;
        setRefusal(error instanceof Refused ? error.code : 'internal');
        if (error instanceof Refused && error.code === 'unauthenticated') keep(null);
      },
    );
    return () => {
      current = false;
    };
  }, [token]);

  const ready = token !== null && rooms.length > 0;
  const waiting = development === null || (token !== null && refusal === null);
  return (
    <div className="inspect">
      <header className="inspect-head">
        <a href="/">{t('city')}</a>
        <button type="button" className="link" onClick={switchLang} lang={lang === 'uk' ? 'en' : 'uk'}>
          {t('language')}
        </button>
        {token !== null && !development && (
          <button type="button" className="link" onClick={() => keep(null)}>
            {t('signOut')}
          </button>
        )}
      </header>
      <main>
        <h1 className="title">{t('title')}</h1>
        <p className="lead">{t('lead')}</p>
        {!ready && !waiting && <TokenForm onToken={keep} refusal={refusal} />}
        {ready && (
          <>
            <p className="inspect-room">
              <label>
                <span>{t('room')}</span>
                <select value={roomId} onChange={(event) => setRoomId(event.target.value)}>
                  {rooms.map(({ id, name }) => (
                    <option key={id} value={id}>
                      {name}
                    </option>
                  ))}
                </select>
              </label>
            </p>
            <RoomGlass
              key={`${token}${roomId}`}
              token={token}
              roomId={roomId}
              development={development === true}
            />
          </>
        )}
      </main>
    </div>
  );
}
