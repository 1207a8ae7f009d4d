/** Keeps this client counted: a heartbeat every 20 s, away when nobody is at it, offline when its page closes. */
import type { Connection } from './connection.ts';
import { isHidden, isPage, onInput, onPageHide, onPageShow, onVisibility } from './page.ts';
import type { PresenceStatus } from './types.ts';

const BEAT_MS = 20_000;
/** A page that nobody sees is left sooner than one that is only looked at. */
const HIDDEN_MS = 60_000;

interface HeartbeatDeps {
  connection: Connection;
  awayAfterMs: number;
  onStatus: (mine: PresenceStatus) => void;
}

export function createHeartbeat({ connection, awayAfterMs, onStatus }: HeartbeatDeps) {
  let inputAt = Date.now();
  let hiddenAt: number | null = isHidden() ? inputAt : null;
  let beatAt = 0;
  /** The page has said goodbye, and must not take it back while it closes. */
  let isLeaving = false;
  let timer: ReturnType<typeof setTimeout> | undefined;

  /** When this client is away, if nothing happens; Node has nobody in front of it. */
  const awayAt = () =>
    isPage()
      ? Math.min(inputAt + awayAfterMs, hiddenAt === null ? Infinity : hiddenAt + HIDDEN_MS)
      : Infinity;
  const isAway = () => Date.now() >= awayAt();

  function beat(): void {
    clearTimeout(timer);
    if (isLeaving) return;
    beatAt = Date.now();
    const left = awayAt() - beatAt;
    timer = setTimeout(beat, left > 0 ? Math.min(BEAT_MS, left) : BEAT_MS);
    connection
      .ask('presence.heartbeat', { status: isAway() ? 'away' : 'online' })
      .then(({ status }) => onStatus(status))
      .catch(() => {}); // the next one, or the next connection
  }

  function active(): void {
    const wasAway = isAway();
    inputAt = Date.now();
    if (wasAway && !isAway()) beat();
  }

  // Browsers slow the timers of hidden pages below the 40 s for which a heartbeat counts, but not the server's pings.
  const offPing = connection.onPing(() => {
    if (Date.now() - beatAt >= BEAT_MS) beat();
  });
  const offs = [
    offPing,
    onInput(active),
    onVisibility(() => {
      const wasAway = isAway();
      hiddenAt = isHidden() ? Date.now() : null;
      if (hiddenAt === null) inputAt = Date.now();
      if (wasAway !== isAway() || hiddenAt !== null) beat();
    }),
    onPageHide(() => {
      isLeaving = true;
      connection.ask('presence.offline', {}).catch(() => {});
    }),
    onPageShow(() => {
      isLeaving = false;
      inputAt = Date.now();
      beat();
    }),
  ];

  return {
    beat,
    active,
    close(): void {
      clearTimeout(timer);
      for (const off of offs) off();
    },
  };
}
