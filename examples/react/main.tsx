/**
 * A room, who is here, the feed and Second Me, with the React hooks of the typed client. README.md says how to run it.
 * Reconnecting, resuming, retries, heartbeats and away detection are the client's; nothing of that is here.
 */
import { createCityClient, devTokens } from 'daarion-city-server/client';
import {
  CityProvider,
  useConnection,
  useFeed,
  usePresence,
  useRoom,
  useSecondMe,
} from 'daarion-city-server/react';
import { useState, type FormEvent } from 'react';
import { createRoot } from 'react-dom/client';

const query = new URLSearchParams(location.search);
const url = query.get('city') ?? 'http://localhost:7001';
const name = query.get('name') ?? 'Olena';
const user_id = `u_${name.toLowerCase().replace(/[^a-z0-9]/g, '') || 'guest'}`;

// Development only. In production `getToken` asks your own sign-in.
const city = createCityClient({ url, getToken: devTokens({ url, user_id, name }) });

function Room({ slug }: { slug: string }) {
  const { room, status, messages, outgoing, typing, send, retry, setTyping, loadOlder, hasOlder } =
    useRoom(slug);
  return (
    <section aria-labelledby="room">
      <h2 id="room">
        {room?.name ?? slug} ({status})
      </h2>
      {hasOlder && <button onClick={() => void loadOlder()}>Older</button>}
      <ol aria-label="Messages">
        {messages.map(({ id, username, body, deleted_at }) => (
          <li key={id}>
            {username}: {deleted_at ? '(deleted)' : body}
          </li>
        ))}
        {outgoing.map(({ client_id, body, state, error }) => (
          <li key={client_id}>
            {body} {state === 'sending' ? '…' : error?.message}
            {state === 'failed' && <button onClick={() => retry(client_id)}>Again</button>}
          </li>
        ))}
      </ol>
      {typing.length > 0 && <p>{typing.join(', ')} writing…</p>}
      <Write label="Message" onWrite={send} onInput={(text) => setTyping(text !== '')} />
    </section>
  );
}

function People() {
  const { mine, users, online, away } = usePresence();
  return (
    <section aria-labelledby="people">
      <h2 id="people">
        {online} online, {away} away, you are {mine}
      </h2>
      <p>{Object.keys(users).join(' ')}</p>
    </section>
  );
}

function News() {
  const { events } = useFeed();
  return (
    <section aria-labelledby="feed">
      <h2 id="feed">Feed</h2>
      <ul aria-label="Feed">
        {events?.slice(0, 10).map(({ id, kind, room_id }) => (
          <li key={id}>
            {kind} in {room_id}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Me() {
  const { turns, ask, cancel } = useSecondMe();
  return (
    <section aria-labelledby="me">
      <h2 id="me">Second Me</h2>
      {turns.map(({ client_id, prompt, reply, status }) => (
        <p key={client_id}>
          {prompt} → {reply} ({status})
          {status === 'running' && <button onClick={() => void cancel(client_id)}>Stop</button>}
        </p>
      ))}
      <Write label="Question" onWrite={ask} />
    </section>
  );
}

interface WriteProps {
  label: string;
  onWrite(text: string): void;
  onInput?(text: string): void;
}

function Write({ label, onWrite, onInput }: WriteProps) {
  const [text, setText] = useState('');
  const change = (next: string) => {
    setText(next);
    onInput?.(next);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (text.trim()) onWrite(text);
    change('');
  };
  return (
    <form onSubmit={submit}>
      <label>
        {label} <input value={text} onChange={({ target }) => change(target.value)} />
      </label>
      <button>Send</button>
    </form>
  );
}

function App() {
  const { phase } = useConnection();
  return (
    <main>
      <h1>DAARION City with React hooks</h1>
      <p role="status">{phase}</p>
      <Room slug={query.get('room') ?? 'general'} />
      <People />
      <News />
      <Me />
    </main>
  );
}

createRoot(document.querySelector('#root')!).render(
  <CityProvider client={city}>
    <App />
  </CityProvider>,
);
