/** The page that the client lives in, if any: its visibility, its input and its end. Node has none. */

type Listener = () => void;

interface Target {
  addEventListener(
    name: string,
    listener: Listener,
    options?: { passive?: boolean; capture?: boolean },
  ): void;
  removeEventListener(name: string, listener: Listener, options?: { capture?: boolean }): void;
}

interface Surroundings {
  window?: Target;
  document?: Target & { visibilityState: string };
  location?: { origin: string };
}

const INPUTS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart', 'scroll', 'focus'];

const surroundings = () => globalThis as unknown as Surroundings;

/** The origin of the page; undefined in Node. */
export const pageOrigin = (): string | undefined => surroundings().location?.origin;

export const isPage = (): boolean => surroundings().document !== undefined;
export const isHidden = (): boolean => surroundings().document?.visibilityState === 'hidden';

function listen(target: Target | undefined, names: readonly string[], listener: Listener): () => void {
  for (const name of names) target?.addEventListener(name, listener, { passive: true, capture: true });
  return () => {
    for (const name of names) target?.removeEventListener(name, listener, { capture: true });
  };
}

export const onInput = (listener: Listener) => listen(surroundings().window, INPUTS, listener);
export const onVisibility = (listener: Listener) =>
  listen(surroundings().document, ['visibilitychange'], listener);
export const onPageHide = (listener: Listener) => listen(surroundings().window, ['pagehide'], listener);
/** The page came back, perhaps from the browser's cache. */
export const onPageShow = (listener: Listener) => listen(surroundings().window, ['pageshow'], listener);
/** The machine has a network again. */
export const onOnline = (listener: Listener) => listen(surroundings().window, ['online'], listener);
