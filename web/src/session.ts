/** Who is signed in: the token, what it says, and its renewal in development. */
import { createStore } from './store.ts';
import { userIdFor } from './text.ts';

export interface Session {
  readonly token: string;
  readonly userId: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly expiresAt: number;
  /** Whether the token came from /auth/dev-token and can be renewed there. */
  readonly dev: boolean;
}

type Notice = 'expired' | null;

const KEY = 'daarion.session';

/** What a token says about its bearer; the server is who verifies it. */
function read(token: string, dev: boolean): Session | null {
  try {
    const part = token.split('.')[1] ?? '';
    const bytes = Uint8Array.from(atob(part.replace(/-/g, '+').replace(/_/g, '/')), (char) =>
      char.charCodeAt(0),
    );
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const { sub, name, roles, exp } = claims;
    if (typeof sub !== 'string' || typeof exp !== 'number') return null;
    return {
      token,
      userId: sub,
      name: typeof name === 'string' && name.trim() ? name : `User-${sub.slice(-4)}`,
      roles: Array.isArray(roles) ? roles.filter((role) => typeof role === 'string') : ['citizen'],
      expiresAt: exp * 1000,
      dev,
    };
  } catch {
    return null;
  }
}

function restore(): Session | null {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as { token: string; dev: boolean } | null;
    const session = kept && read(kept.token, kept.dev);
    return session && (session.dev || session.expiresAt > Date.now()) ? session : null;
  } catch {
    return null;
  }
}

export const sessionStore = createStore<{ session: Session | null; notice: Notice }>({
  session: restore(),
  notice: null,
});

function keep(session: Session): void {
  sessionStorage.setItem(KEY, JSON.stringify({ token: session.token, dev: session.dev }));
  sessionStore.set(() => ({ session, notice: null }));
}

export function signOut(notice: Notice = null): void {
  sessionStorage.removeItem(KEY);
  sessionStore.set(() => ({ session: null, notice }));
}

export type DevSignIn = 'ok' | 'no_dev' | 'refused' | 'offline';

async function devToken(userId: string, name: string, roles: readonly string[]): Promise<DevSignIn> {
  let response: Response;
  try {
    response = await fetch('/auth/dev-token', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user_id: userId, name, ...(roles.length ? { roles } : {}) }),
      signal: AbortSignal.timeout(10_000),
    });
  } catch {
    return 'offline';
  }
  if (response.status === 404) return 'no_dev';
  if (response.status >= 500) return 'offline';
  if (!response.ok) return 'refused';
  const { token } = (await response.json()) as { token: string };
  const session = read(token, true);
  if (!session) return 'refused';
  keep(session);
  return 'ok';
}

/** Signs in as anybody, where the server runs for development. */
export const signInAs = (name: string, role: string): Promise<DevSignIn> =>
  devToken(userIdFor(name), name.trim(), role === 'citizen' ? [] : ['citizen', role]);

/** Signs in with a token from elsewhere; false when it cannot be one that is still good. */
export function signInWithToken(text: string): boolean {
  const session = read(text.trim().replace(/^Bearer\s+/i, ''), false);
  if (!session || session.expiresAt <= Date.now()) return false;
  keep(session);
  return true;
}

/**
 * What the client asks for a token whenever it needs one. The kept token answers first; being asked again means that it
 * has been refused or is about to expire. Where none can be had the session ends.
 */
export function tokenGiver(): () => Promise<string | null> {
  let given: string | null = null;
  return async () => {
    let session = sessionStore.getSnapshot().session;
    if (!session) return null;
    if (session.token === given || session.expiresAt <= Date.now()) {
      const renewed = session.dev ? await devToken(session.userId, session.name, session.roles) : 'refused';
      if (renewed === 'offline') throw new Error('The city does not answer');
      if (renewed !== 'ok') signOut('expired');
      session = sessionStore.getSnapshot().session;
    }
    given = session?.token ?? null;
    return given;
  };
}
