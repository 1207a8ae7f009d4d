/** The REST calls of the City page. */
import { CityError, offline } from './errors.ts';
import { currentSession, renew } from './session.ts';
import type {
  ChatMessage,
  FeedEvent,
  FeedScope,
  Home,
  Invocation,
  MessagePage,
  Profile,
  Room,
  RoomMember,
} from './types.ts';

type Query = Record<string, string | number | undefined>;

function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)]],
  );
  return given.length ? `${path}?${new URLSearchParams(given).toString()}` : path;
}

async function refusal(response: Response): Promise<CityError> {
  const problem = (await response.json().catch(() => null)) as { code?: string; detail?: string } | null;
  const after = Number(response.headers.get('retry-after') ?? NaN);
  return new CityError(
    problem?.code ?? (response.status >= 500 ? 'unavailable' : 'internal'),
    problem?.detail ?? response.statusText,
    response.status === 429 || response.status >= 500,
    Number.isFinite(after) ? after * 1000 : null,
  );
}

async function call<T>(method: string, path: string, body?: unknown, again = true): Promise<T> {
  const session = currentSession();
  if (!session) throw new CityError('unauthenticated', 'Signed out', false);
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        authorization: `Bearer ${session.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000),
    });
  } catch {
    throw offline();
  }
  if (response.status === 401 && again) {
    const renewed = await renew();
    if (renewed === 'ok') return call<T>(method, path, body, false);
    if (renewed === 'offline') throw offline();
  }
  if (!response.ok) throw await refusal(response);
  return (await response.json()) as T;
}

const get = <T>(path: string, query: Query = {}) => call<T>('GET', withQuery(path, query));
const room = (ref: string) => `/city/rooms/${encodeURIComponent(ref)}`;

export const api = {
  home: () => get<Home>('/city/home'),
  rooms: (limit: number, offset: number) => get<Room[]>('/city/rooms', { limit, offset }),
  createRoom: (input: { name: string; slug?: string; description?: string }) =>
    call<Room>('POST', '/city/rooms', input),
  room: (ref: string) => get<{ room: Room; members_online: number; online_members: string[] }>(room(ref)),
  messages: (ref: string, query: { before_seq?: number; since?: number; limit: number }) =>
    get<MessagePage>(`${room(ref)}/messages`, query),
  members: (ref: string) =>
    get<{ members: RoomMember[]; next: string | null }>(`${room(ref)}/members`, { limit: 200 }),
  feed: (query: { limit: number; before?: string; scope: FeedScope }) =>
    get<FeedEvent[]>('/city/feed', query),
  history: () => get<ChatMessage[]>('/secondme/history', { limit: 100 }),
  profile: () => get<Profile>('/secondme/profile'),
  clearHistory: () => call<{ deleted: number }>('POST', '/secondme/history/clear'),
  invocation: (id: string) => get<Invocation>(`/secondme/invocations/${encodeURIComponent(id)}`),
};
