/** Presence of this page: a heartbeat every 20 s, away after five idle minutes, offline when it closes. */
import { askPresence } from './sockets.ts';
import { setMine } from './stores/presence.ts';

const AWAY_AFTER_MS = 300_000;

let lastInput = Date.now();

function beat(): void {
  askPresence('presence.heartbeat', { idle_ms: Date.now() - lastInput })
    .then(({ status }) => setMine(status))
    .catch(() => undefined);
}

function onInput(): void {
  const wasAway = Date.now() - lastInput >= AWAY_AFTER_MS;
  lastInput = Date.now();
  if (wasAway) beat();
}

const INPUTS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart', 'focus'] as const;

/** Starts the heartbeats; the answer stops them. `beat` is for a fresh connection. */
export function startHeartbeat(): { beat(): void; stop(): void } {
  const clock = new Worker(new URL('./heartbeat-worker.ts', import.meta.url), { type: 'module' });
  const onHide = () => void askPresence('presence.offline', {}).catch(() => undefined);
  clock.onmessage = beat;
  lastInput = Date.now();
  for (const name of INPUTS) window.addEventListener(name, onInput, { passive: true });
  window.addEventListener('pagehide', onHide);
  window.addEventListener('pageshow', beat);
  return {
    beat,
    stop() {
      clock.terminate();
      for (const name of INPUTS) window.removeEventListener(name, onInput);
      window.removeEventListener('pagehide', onHide);
      window.removeEventListener('pageshow', beat);
      setMine('offline');
    },
  };
}
