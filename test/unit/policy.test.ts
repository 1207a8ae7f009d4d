import { describe, expect, it } from '@jest/globals';
import { authorise, CALLS, may, relationsAsked, RULES } from '../../src/auth/policy.ts';
import type { Action, Relation } from '../../src/auth/policy.ts';
import type { Role } from '../../src/contract/auth.ts';
import { NAMESPACES } from '../../src/contract/events.ts';
import { REST } from '../../src/contract/rest.ts';

const caller = (...roles: Role[]) => ({ id: 'u_me', name: undefined, roles, issuedAt: 0, expiresAt: 0 });
const ROLES = ['citizen', 'moderator', 'admin', 'service'] as const;

it.each<[Action, Relation[], Role[]]>([
  ['message.edit', ['author'], ['citizen', 'moderator', 'admin', 'service']],
  ['message.edit', [], []],
  ['message.edit', ['author', 'muted'], []],
  ['message.delete', ['author'], ['citizen', 'moderator', 'admin', 'service']],
  ['message.delete', ['author', 'muted'], ['citizen', 'moderator', 'admin', 'service']],
  ['message.delete', ['author', 'banned'], []],
  ['message.delete', [], ['moderator', 'admin']],
  ['message.send', [], ['citizen', 'moderator', 'admin', 'service']],
  ['message.send', ['muted'], []],
  ['message.send', ['banned'], []],
  ['message.send_as_agent', [], ['service']],
  ['message.ignore_slow_mode', [], ['moderator', 'admin', 'service']],
  ['room.read', ['muted'], ['citizen', 'moderator', 'admin', 'service']],
  ['room.read', ['banned'], []],
  ['room.update', [], ['moderator', 'admin']],
  ['room.update', ['creator'], ['citizen', 'moderator', 'admin', 'service']],
  ['room.delete', ['creator'], ['admin']],
  ['room.moderate', [], ['moderator', 'admin']],
  ['room.moderate', ['creator'], ['moderator', 'admin']],
  ['room.moderate', ['peer'], ['admin']],
  ['room.moderate', ['self'], []],
  ['room.leave', ['banned'], ['citizen', 'moderator', 'admin', 'service']],
  ['report.handle', [], ['moderator', 'admin']],
  ['moderation_log.read', [], ['moderator', 'admin']],
  ['city.inspect', [], ['admin']],
])('%s of one who is %j is for %j', (action, relations, allowed) => {
  for (const role of ROLES) {
    expect([role, may(caller(role), action, relations)]).toEqual([role, allowed.includes(role)]);
  }
});

it('lets any of several roles do, and nobody without one', () => {
  expect(may(caller('citizen', 'moderator'), 'message.delete')).toBe(true);
  expect(may(caller(), 'message.delete')).toBe(false);
});

it('says why', () => {
  const refusal = (action: Action, relations: Relation[]) => {
    try {
      authorise(caller('citizen'), action, relations);
    } catch (error) {
      return error;
    }
  };
  expect(refusal('message.send', ['muted'])).toMatchObject({
    code: 'forbidden',
    message: expect.stringMatching(/muted/),
  });
  expect(refusal('message.send', ['muted', 'banned'])).toMatchObject({
    message: expect.stringMatching(/banned/),
  });
});

describe('the table of calls', () => {
  it('names exactly the calls and events of the contract', () => {
    const events = Object.values(NAMESPACES).flatMap(({ client }) => Object.keys(client));
    expect(Object.keys(CALLS).sort()).toEqual([...new Set([...Object.keys(REST), ...events])].sort());
  });

  it('is public where no token is asked for, and nowhere else', () => {
    for (const [name, { auth }] of Object.entries(REST)) {
      expect([name, CALLS[name as keyof typeof REST] === 'public']).toEqual([name, !auth]);
    }
  });

  it('uses every action that is not asked within a service', () => {
    const within: Action[] = ['message.send_as_agent', 'message.ignore_slow_mode'];
    expect([...new Set(Object.values(CALLS)), ...within].sort()).toEqual(Object.keys(RULES).sort());
  });
});

it('leaves what a commit decides to the commit', () => {
  expect(relationsAsked('message.send')).toEqual([]);
  expect(relationsAsked('room.join')).toEqual([]);
  expect(relationsAsked('message.edit').sort()).toEqual(['author', 'banned', 'muted']);
});
