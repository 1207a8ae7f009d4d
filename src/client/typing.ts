/** Says that somebody types: now, every 3 s while it goes on, and once when it is over. */

const AGAIN_MS = 3_000;
/** The server forgets a typist after 6 s. */
const IDLE_MS = 5_000;

/** `say` tells the city. */
export function createTyping(say: (typing: boolean) => void) {
  let saidAt: number | null = null;
  let idle: ReturnType<typeof setTimeout> | undefined;

  function stop(): void {
    clearTimeout(idle);
    if (saidAt !== null) say(false);
    saidAt = null;
  }
  return {
    set(typing: boolean): void {
      if (!typing) return stop();
      clearTimeout(idle);
      idle = setTimeout(stop, IDLE_MS);
      const now = Date.now();
      if (saidAt !== null && now - saidAt < AGAIN_MS) return;
      saidAt = now;
      say(true);
    },
    /** After a reconnection the city knows of no typist. */
    forget(): void {
      clearTimeout(idle);
      saidAt = null;
    },
    stop,
  };
}
