/** The REST calls as functions, named and typed by the contract; the table of paths is checked against it by the compiler. */
import type { z } from 'zod';
import type { REST } from '../contract/rest.ts';

type Calls = typeof REST;
/** What frontends call; health and the descriptions are for operators. */
export type RestName = Exclude<keyof Calls, 'live' | 'ready' | 'openapi' | 'asyncapi'>;
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

type Input<Name extends RestName> =
  Record<never, never> extends RestInput<Name> ? [input?: RestInput<Name>] : [input: RestInput<Name>];
export type Rest = {
  readonly [Name in RestName]: {
    (...args: Input<Name>): Promise<RestAnswer<Name>>;
    (input: RestInput<Name>, options: RestOptions): Promise<RestAnswer<Name>>;
  };
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
export { ROUTES };
