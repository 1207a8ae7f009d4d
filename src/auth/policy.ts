/** Who may do what: the one table, asked by REST and sockets alike. */
import type { Role } from '../contract/auth.ts';
import { AppError } from '../platform/errors.ts';
import type { Caller } from './caller.ts';

/** What the caller is to the thing acted on. */
type Relation = 'self' | 'anyone';

interface Rule {
  /** Relations for which every citizen may. */
  readonly relations: readonly Relation[];
  /** Roles that may whatever the relation. */
  readonly roles: readonly Role[];
  readonly refusal: string;
}

const RULES = {
  'message.edit': { relations: ['self'], roles: [], refusal: 'Only its author may edit a message.' },
  'message.delete': {
    relations: ['self'],
    roles: ['moderator', 'admin'],
    refusal: 'Only its author or a moderator may delete a message.',
  },
  'message.send_as_agent': {
    relations: [],
    roles: ['service'],
    refusal: 'Only a service writes as an agent.',
  },
} as const satisfies Record<string, Rule>;

export type Action = keyof typeof RULES;

/**
 * Passes when `caller` may do `action` to something of `ownerId`'s.
 * @throws AppError forbidden
 */
export function authorise(caller: Caller, action: Action, ownerId?: string): void {
  const rule: Rule = RULES[action];
  const relation: Relation = ownerId === caller.id ? 'self' : 'anyone';
  if (rule.relations.includes(relation) || caller.roles.some((role) => rule.roles.includes(role))) return;
  throw new AppError('forbidden', rule.refusal);
}
