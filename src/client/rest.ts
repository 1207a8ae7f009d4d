/** The REST calls as functions, named and typed by the contract; the table of paths is checked against it by the compiler. */
import type { z } from 'zod';
import type { Problem } from '../contract/errors.ts';
import type { REST } from '../contract/rest.ts';
import { CityError, offline } from './errors.ts';
import type { Session } from './session.ts';

type Calls = typeof REST;
/** What frontends call; health, the inspector and the descriptions are for operators. */
export type RestName = Exclude<keyof Calls, 'live' | 'ready' | 'openapi' | 'asyncapi' | 'inspectRooms'>;
type Route<C extends { method: string; path: string }> = `${Uppercase<C['method']>} ${C['path']}`;

/** An empty schema is `Record<string, never>`, which would forbid the fields of the others. */
type Fields<T> = string extends keyof T ? unknown : T;

/** Parameters of the path, the query and the body in one object: no call uses a name twice. */
export type RestInput<Name extends RestName> = Fields<z.input<Calls[Name]['params']>> &
  Partial<Fields<z.output<Calls[Name]['query']>>> &
  Fields<z.input<Calls[Name]['body']>>;
export type RestAnswer<Name extends RestName> = z.output<
  Calls[Name]['answers'][keyof Calls[Name]['answers']]
>;

export interface RestOptions {
  signal?: AbortSignal;
  /** e.g. `{ 'Idempotency-Key': key, Prefer: 'respond-async' }`. */
  headers?: Record<string, string>;
}

type Input<Name extends RestName> = keyof RestInput<Name> extends never
  ? [input?: Record<string, never>, options?: RestOptions]
  : Record<never, never> extends RestInput<Name>
    ? [input?: RestInput<Name>, options?: RestOptions]
    : [input: RestInput<Name>, options?: RestOptions];
export type Rest = {
  readonly [Name in RestName]: (...args: Input<Name>) => Promise<RestAnswer<Name>>;
};

const ROUTES: { readonly [Name in RestName]: Route<Calls[Name]> } = {
  listRooms: 'GET /city/rooms',
  createRoom: 'POST /city/rooms',
  getRoom: 'GET /city/rooms/:room_id',
  updateRoom: 'PATCH /city/rooms/:room_id',
  deleteRoom: 'DELETE /city/rooms/:room_id',
  moderate: 'POST /city/rooms/:room_id/moderation',
  moderationLog: 'GET /city/moderation/log',
  report: 'POST /city/reports',
  listReports: 'GET /city/reports',
  handleReport: 'PATCH /city/reports/:id',
  listMessages: 'GET /city/rooms/:room_id/messages',
  sendMessage: 'POST /city/rooms/:room_id/messages',
  editMessage: 'PATCH /city/rooms/:room_id/messages/:id',
  deleteMessage: 'DELETE /city/rooms/:room_id/messages/:id',
  joinRoom: 'POST /city/rooms/:room_id/join',
  leaveRoom: 'POST /city/rooms/:room_id/leave',
  listMembers: 'GET /city/rooms/:room_id/members',
  markRead: 'PUT /city/rooms/:room_id/read',
  listFeed: 'GET /city/feed',
  home: 'GET /city/home',
  listPresence: 'GET /city/presence',
  getPresence: 'GET /city/presence/:user_id',
  invoke: 'POST /secondme/invoke',
  getInvocation: 'GET /secondme/invocations/:id',
  cancelInvocation: 'DELETE /secondme/invocations/:id',
  history: 'GET /secondme/history',
  profile: 'GET /secondme/profile',
  clearHistory: 'POST /secondme/history/clear',
  setMatrixPresence: 'POST /internal/matrix/presence/online',
  logoutEverywhere: 'POST /auth/logout-everywhere',
  exportMe: 'GET /me/export',
  eraseMe: 'DELETE /me',
  devToken: 'POST /auth/dev-token',
};

/** Exports and replies take their time. */
const PATIENCE_MS = 30_000;

async function refusal(response: Response): Promise<CityError> {
  const problem = (await response.json().catch(() => null)) as Partial<Problem> | null;
  const after = Number(response.headers.get('retry-after') ?? NaN);
  return new CityError(
    problem?.code ?? (response.status >= 500 ? 'unavailable' : 'internal'),
    problem?.detail ?? response.statusText,
    {
      retryable: response.status === 429 || response.status === 502 || response.status >= 503,
      retryAfterMs: Number.isFinite(after) ? after * 1000 : null,
      errors: problem?.errors,
    },
  );
}

/** Puts the fields of `input` where the route wants them: into its path, else its query or its body. */
function fill(route: string, input: Record<string, unknown>) {
  const [method = '', path = ''] = route.split(' ');
  const rest = { ...input };
  const filled = path.replace(/:(\w+)/g, (_, name: string) => {
    delete rest[name];
    return encodeURIComponent(String(input[name]));
  });
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  if (method !== 'GET') return { method, path: filled, body: given.length ? JSON.stringify(rest) : null };
  const query = new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]));
  return { method, path: given.length ? `${filled}?${query.toString()}` : filled, body: null };
}

/** What the calls need of the session. */
type Bearer = Pick<Session, 'token' | 'renew'>;

export function createRest(url: string, bearer: Bearer | null): Rest {
  async function call(
    route: string,
    input = {},
    { signal, headers = {} }: RestOptions = {},
  ): Promise<unknown> {
    const { method, path, body } = fill(route, input);
    const stop = new AbortController();
    const abort = () => stop.abort();
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort);
    const timer = setTimeout(abort, PATIENCE_MS);
    const attempt = async (token: string | null) =>
      fetch(url + path, {
        method,
        headers: {
          ...headers,
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(body === null ? {} : { 'content-type': 'application/json' }),
        },
        body,
        signal: stop.signal,
      }).catch(() => {
        throw signal?.aborted ? (signal.reason as Error) : offline();
      });
    try {
      let response = await attempt(bearer && (await bearer.token()));
      if (response.status === 401 && bearer) response = await attempt(await bearer.renew());
      if (!response.ok) throw await refusal(response);
      return await response.json().catch(() => {
        throw signal?.aborted ? (signal.reason as Error) : offline();
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
    }
  }
  const calls = Object.entries(ROUTES).map(([name, route]) => [name, call.bind(null, route)]);
  return Object.fromEntries(calls) as Rest;
}
