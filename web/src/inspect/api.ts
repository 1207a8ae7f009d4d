/** REST for the inspector: tokens in development, rooms, what the nodes have delivered, and somebody else who writes. */
import type { InspectedRooms } from '../../../src/contract/inspect.ts';
import type { Message, MessagePage } from '../../../src/contract/messages.ts';
import type { Room } from '../../../src/contract/rooms.ts';

const TIMEOUT_MS = 10_000;

/** A refused call; `code` as in the contract, `offline` when nobody answered. */
export class Refused extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

async function call<T>(token: string | null, method: string, path: string, body?: object): Promise<T> {
  const response = await fetch(path, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body ? { 'content-type': 'application/json' } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  }).catch(() => {
    throw new Refused('offline');
  });
  if (response.ok) return (await response.json()) as T;
  const problem = (await response.json().catch(() => ({}))) as { code?: string };
  throw new Refused(problem.code ?? 'internal');
}

/** Whether the server signs in anybody. */
export async function isDevelopment(): Promise<boolean> {
  const { development } = await call<{ development: boolean }>(null, 'GET', '/page.json');
  return development;
}

/** Development only: the token of anybody. */
export async function devToken(user_id: string, name: string, roles?: string[]): Promise<string> {
  const body = { user_id, name, ...(roles ? { roles } : {}) };
  return (await call<{ token: string }>(null, 'POST', '/auth/dev-token', body)).token;
}

export const listRooms = (token: string) => call<Room[]>(token, 'GET', '/city/rooms?limit=500');

export const inspectRooms = (token: string, roomId: string) =>
  call<InspectedRooms>(token, 'GET', `/inspect/rooms?room_id=${roomId}`);

export const changesSince = (token: string, roomId: string, since: number) =>
  call<MessagePage>(token, 'GET', `/city/rooms/${roomId}/messages?since=${since}&limit=200`);

/** Somebody else, who exists in development only. */
export function createNeighbour() {
  let token: Promise<string> | undefined;
  let last: Message | undefined;
  let count = 0;
  const signIn = () => (token ??= devToken('u_neighbour', 'Сусідка Neighbour'));
  return {
    /** Writes `n` messages, one after the other. */
    async write(roomId: string, n: number): Promise<void> {
      for (let i = 0; i < n; i++) {
        const body = { body: `№ ${++count}, ${new Date().toLocaleTimeString()}` };
        last = await call<Message>(await signIn(), 'POST', `/city/rooms/${roomId}/messages`, body);
      }
    },
    /** Edits what they wrote last; writes first when that is nothing or elsewhere. */
    async edit(roomId: string): Promise<void> {
      if (last?.room_id !== roomId) return this.write(roomId, 1);
      const path = `/city/rooms/${roomId}/messages/${last.id}`;
      last = await call<Message>(await signIn(), 'PATCH', path, { body: `${last.body} ✎` });
    },
  };
}
