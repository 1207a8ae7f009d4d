import { expect, it } from '@jest/globals';
import { authorise } from '../../src/auth/policy.ts';
import type { Action } from '../../src/auth/policy.ts';
import type { Role } from '../../src/contract/auth.ts';

const caller = (...roles: Role[]) => ({ id: 'u_me', name: undefined, roles, expiresAt: 0 });

const may = (action: Action, roles: Role[], ownerId?: string): boolean => {
  try {
    authorise(caller(...roles), action, ownerId);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'forbidden' });
    return false;
  }
};

it.each<[Action, 'mine' | 'theirs', Role[]]>([
  ['message.edit', 'mine', ['citizen', 'moderator', 'admin', 'service']],
  ['message.edit', 'theirs', []],
  ['message.delete', 'mine', ['citizen', 'moderator', 'admin', 'service']],
  ['message.delete', 'theirs', ['moderator', 'admin']],
  ['message.send_as_agent', 'theirs', ['service']],
])('%s of %s is for %j', (action, whose, allowed) => {
  const owner = whose === 'mine' ? 'u_me' : 'u_other';
  for (const role of ['citizen', 'moderator', 'admin', 'service'] as const) {
    expect([role, may(action, [role], owner)]).toEqual([role, allowed.includes(role)]);
  }
});

it('lets any of several roles do', () => {
  expect(may('message.delete', ['citizen', 'moderator'], 'u_other')).toBe(true);
  expect(may('message.delete', [], 'u_other')).toBe(false);
});
