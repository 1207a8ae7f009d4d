/**
 * Who may do what: the one table of roles, actions and relations, and which action each call and event is.
 *
 * Every call of the contract has a line in CALLS, or the project does not compile; the edges ask before every handler
 * (authorise.ts). A relation that can change until the commit is looked up there instead, and comes back as an outcome.
 */
import { Role } from '../contract/auth.ts';
import type { PRESENCE_CLIENT_EVENTS, ROOMS_CLIENT_EVENTS } from '../contract/events.ts';
import type { RestName } from '../contract/rest.ts';
import { AppError } from '../platform/errors.ts';
import type { Caller } from './caller.ts';

/**
 * What the caller is to what is acted on: of a message its author, of a room its creator, banned from it or muted in
 * it; of a user the same one (`self`), or one who faces a moderator or an admin (`peer`).
 */
export type Relation = 'author' | 'creator' | 'banned' | 'muted' | 'self' | 'peer';

interface Refusal {
  readonly relation: Relation;
  /** Roles that may all the same. */
  readonly except: readonly Role[];
  readonly says: string;
}

interface Rule {
  /** Who may at all: everyone with a token, or who has one of the roles or relations. */
  readonly allow: 'everyone' | readonly (Role | Relation)[];
  /** Said to those who may not. */
  readonly says?: string;
  /** Relations that forbid it, the weightiest first. */
  readonly unless: readonly Refusal[];
  /** The relations of `unless` are looked up by the statement that acts, under its lock where it writes (migration 0005). */
  readonly atCommit?: boolean;
}

const BANNED = { relation: 'banned', except: [], says: 'You are banned from this room.' } as const;
const MUTED = { relation: 'muted', except: [], says: 'You are muted in this room.' } as const;
const SELF = { relation: 'self', except: [], says: 'Nobody moderates themselves.' } as const;
const PEER = {
  relation: 'peer',
  except: ['admin'],
  says: 'Only an admin acts on a moderator or an admin.',
} as const;

const MODERATORS = ['moderator', 'admin'] as const;
const forModerators = { allow: MODERATORS, says: 'Only a moderator may do this.', unless: [] } as const;

export const RULES = {
  public: { allow: 'everyone', unless: [] },
  'city.read': { allow: 'everyone', unless: [] },
  'presence.use': { allow: 'everyone', unless: [] },
  'second_me.use': { allow: 'everyone', unless: [] },
  'token.manage': { allow: 'everyone', unless: [] },
  'me.manage': { allow: 'everyone', unless: [] },

  'room.create': { allow: 'everyone', unless: [] },
  'room.read': { allow: 'everyone', unless: [BANNED] },
  'room.open': { allow: 'everyone', unless: [BANNED], atCommit: true },
  'room.join': { allow: 'everyone', unless: [BANNED], atCommit: true },
  'room.leave': { allow: 'everyone', unless: [] },
  'room.type': { allow: 'everyone', unless: [BANNED, MUTED] },
  'room.update': {
    allow: ['creator', ...MODERATORS],
    says: 'Only its creator or a moderator may change a room.',
    unless: [BANNED],
  },
  'room.delete': { allow: ['admin'], says: 'Only an admin may delete a room.', unless: [BANNED] },
  'room.moderate': { ...forModerators, unless: [SELF, BANNED, PEER] },

  'message.send': { allow: 'everyone', unless: [BANNED, MUTED], atCommit: true },
  'message.send_as_agent': {
    allow: ['service'],
    says: 'Only a service writes as an agent.',
    unless: [],
  },
  'message.ignore_slow_mode': {
    allow: [...MODERATORS, 'service'],
    says: 'This room is in slow mode.',
    unless: [],
  },
  'message.edit': {
    allow: ['author'],
    says: 'Only its author may edit a message.',
    unless: [BANNED, MUTED],
  },
  'message.delete': {
    allow: ['author', ...MODERATORS],
    says: 'Only its author or a moderator may delete a message.',
    unless: [BANNED],
  },
  'message.report': { allow: 'everyone', unless: [BANNED] },

  'city.inspect': { allow: ['admin'], says: 'Only an admin may inspect the city.', unless: [] },

  'report.handle': forModerators,
  'moderation_log.read': forModerators,
} as const satisfies Record<string, Rule>;

export type Action = keyof typeof RULES;

/** A call of the REST table, or a client event. */
export type CallName = RestName | keyof typeof ROOMS_CLIENT_EVENTS | keyof typeof PRESENCE_CLIENT_EVENTS;

export const CALLS: Readonly<Record<CallName, Action>> = {
  live: 'public',
  ready: 'public',
  openapi: 'public',
  asyncapi: 'public',
  devToken: 'public',

  listRooms: 'city.read',
  listFeed: 'city.read',
  home: 'city.read',
  listPresence: 'city.read',
  getPresence: 'city.read',
  'feed.subscribe': 'city.read',
  'feed.unsubscribe': 'city.read',

  createRoom: 'room.create',
  getRoom: 'room.open',
  listMessages: 'room.read',
  listMembers: 'room.read',
  markRead: 'room.read',
  'room.read': 'room.read',
  'presence.subscribe': 'room.read',
  joinRoom: 'room.join',
  'room.join': 'room.join',
  leaveRoom: 'room.leave',
  'room.leave': 'room.leave',
  'room.typing': 'room.type',
  updateRoom: 'room.update',
  deleteRoom: 'room.delete',
  moderate: 'room.moderate',

  sendMessage: 'message.send',
  'room.message.send': 'message.send',
  editMessage: 'message.edit',
  'room.message.edit': 'message.edit',
  deleteMessage: 'message.delete',
  'room.message.delete': 'message.delete',
  report: 'message.report',

  listReports: 'report.handle',
  handleReport: 'report.handle',
  moderationLog: 'moderation_log.read',

  inspectRooms: 'city.inspect',

  'presence.heartbeat': 'presence.use',
  'presence.offline': 'presence.use',
  'presence.unsubscribe': 'presence.use',
  setMatrixPresence: 'presence.use',

  invoke: 'second_me.use',
  getInvocation: 'second_me.use',
  cancelInvocation: 'second_me.use',
  history: 'second_me.use',
  profile: 'second_me.use',
  clearHistory: 'second_me.use',
  'secondme.invoke': 'second_me.use',
  'secondme.cancel': 'second_me.use',

  'auth.refresh': 'token.manage',
  logoutEverywhere: 'token.manage',
  exportMe: 'me.manage',
  eraseMe: 'me.manage',
};

const ROLES: ReadonlySet<string> = new Set(Role.options);

/** The relations on which `action` depends, as far as they are to be looked up before it. */
export function relationsAsked(action: Action): Relation[] {
  const { allow, unless, atCommit }: Rule = RULES[action];
  const mayAct = allow === 'everyone' ? [] : allow.filter((one) => !ROLES.has(one));
  return [...(mayAct as Relation[]), ...(atCommit ? [] : unless.map(({ relation }) => relation))];
}
/** Why `caller`, who stands in `relations` to what is acted on, may not do `action`; undefined when they may. */
function refusalOf(caller: Caller, action: Action, relations: readonly Relation[]): string | undefined {
  const { allow, says, unless }: Rule = RULES[action];
  const has = (one: Role | Relation) =>
    (caller.roles as readonly string[]).includes(one) || (relations as readonly string[]).includes(one);
  if (allow !== 'everyone' && !allow.some(has)) return says ?? 'You may not do this.';
  return unless.find(({ relation, except }) => relations.includes(relation) && !except.some(has))?.says;
}

/** Whether `caller` may do `action`. */
export const may = (caller: Caller, action: Action, relations: readonly Relation[] = []): boolean =>
  refusalOf(caller, action, relations) === undefined;

/**
 * Passes when `caller`, who stands in `relations` to what is acted on, may do `action`.
 * @throws AppError forbidden
 */
export function authorise(caller: Caller, action: Action, relations: readonly Relation[] = []): void {
  const refusal = refusalOf(caller, action, relations);
  if (refusal !== undefined) throw new AppError('forbidden', refusal);
}
