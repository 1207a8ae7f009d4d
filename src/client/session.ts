/** The token of a client: what it says, and a newer one before it expires. */
import type { Role } from '../contract/auth.ts';
import { CityError } from './errors.ts';
import { createValue } from './store.ts';
import type { CityOptions, Me, Store } from './types.ts';

interface Token {
  readonly text: string;
  readonly me: Me | null;
  readonly issuedAt: number;
  /** Infinity where the token does not say. */
  readonly expiresAt: number;
  readonly receivedAt: number;
}

const LEAD_MS = 60_000;
const RETRY_MS = 5_000;
/** setTimeout fires at once past 2^31 − 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** What a token says about its bearer; the server is who verifies it. */
function read(text: string): Token {
  const receivedAt = Date.now();
  const unknown = { text, me: null, issuedAt: receivedAt, expiresAt: Infinity, receivedAt };
  try {
    const part = (text.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const { sub, name, roles, exp, iat } = claims;
    if (typeof sub !== 'string') return unknown;
    return {
      text,
      me: {
        user_id: sub,
        username: typeof name === 'string' && name.trim() !== '' ? name : `User-${sub.slice(-4)}`,
        roles: Array.isArray(roles) ? (roles as Role[]) : ['citizen'],
      },
      issuedAt: typeof iat === 'number' ? iat * 1000 : receivedAt,
      expiresAt: typeof exp === 'number' ? exp * 1000 : Infinity,
      receivedAt,
    };
  } catch {
    return unknown;
  }
}

/** How long before its end it is renewed: a minute, less for a short-lived one. */
const leadOf = ({ issuedAt, expiresAt }: Token) => Math.min(LEAD_MS, (expiresAt - issuedAt) / 3);

/** Milliseconds from its receipt to its renewal. */
function renewalDelay(token: Token): number {
  const { issuedAt, expiresAt, receivedAt } = token;
  const lifetime = expiresAt - issuedAt;
  const left = expiresAt - receivedAt;
  const lead = leadOf(token);
  // By a clock that goes wrong a fresh token looks expired, or as if it lasted longer than it can.
  const believed = left > lead && left <= lifetime ? left : lifetime;
  return Math.max(believed - lead, 1_000);
}

export type Session = ReturnType<typeof createSession>;

export function createSession({ token: fixed, getToken }: Pick<CityOptions, 'token' | 'getToken'>) {
  if (fixed === undefined && !getToken) throw new TypeError('createCityClient needs a token or getToken');
  const me = createValue<Me | null>(null);
  const listeners = new Set<(token: string) => void>();
  let current: Token | null = null;
  let fetching: Promise<string> | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  const signedOut = () =>
    new CityError('unauthenticated', 'there is no token any more', { retryable: false });

  function take(text: string): void {
    current = read(text);
    const { user_id, username, roles } = current.me ?? {};
    const known = me.getSnapshot();
    if (known?.user_id !== user_id || known?.username !== username || String(known?.roles) !== String(roles))
      me.set(() => current?.me ?? null);
  }

  function arm(delayMs: number): void {
    clearTimeout(timer);
    if (closed || delayMs === Infinity) return;
    timer = setTimeout(
      () => {
        if (delayMs > LONGEST_TIMER_MS) return arm(delayMs - LONGEST_TIMER_MS);
        renew().catch((error: CityError) => error.retryable && arm(RETRY_MS));
      },
      Math.min(delayMs, LONGEST_TIMER_MS),
    );
  }

  async function fetchToken(): Promise<string> {
    let text: string | null | undefined;
    try {
      text = getToken ? await getToken() : current ? null : fixed;
    } catch (error) {
      throw new CityError('offline', `no token: ${String(error)}`, { retryable: true });
    }
    if (closed) throw new CityError('closed', 'the client was closed', { retryable: false });
    if (text == null) throw signedOut();
    const before = current?.text;
    if (text !== before) take(text);
    if (getToken && current) arm(text === before ? RETRY_MS : renewalDelay(current));
    if (before !== undefined && before !== text) for (const listener of listeners) listener(text);
    return text;
  }

  /** Asks for a newer token, once for all who want one. @throws CityError unauthenticated when there is none, offline */
  const renew = (): Promise<string> => (fetching ??= fetchToken().finally(() => (fetching = null)));

  return {
    me: me as Store<Me | null>,
    renew,
    /** `renew`, unless the token at hand is as new as it can be: of one that lasts seconds the server warns at once. */
    expiring(): void {
      if (current && Date.now() - current.receivedAt < leadOf(current)) return;
      renew().catch((error: CityError) => error.retryable && arm(RETRY_MS));
    },
    /** The token that is good now. @throws as `renew` */
    token: (): Promise<string> => (current ? Promise.resolve(current.text) : renew()),
    /** The token at hand, perhaps none. */
    current: (): string | null => current?.text ?? null,
    /** Hears of every newer token. */
    onRenewed: (listener: (token: string) => void) => void listeners.add(listener),
    close(): void {
      closed = true;
      clearTimeout(timer);
    },
  };
}
