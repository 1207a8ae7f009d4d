/** Which errors of PostgreSQL and Redis say that the same call may succeed later. */
import { describe, expect, it } from '@jest/globals';
import { isTemporary, toAppError } from '../../src/platform/errors.ts';

describe('what Redis answers', () => {
  it.each([
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'NOREPLICAS Not enough good replicas to write. script: 508e, on @user_script:1.',
    'CLUSTERDOWN The cluster is down',
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'NOAUTH Authentication required.',
    'WRONGPASS invalid username-password pair or user is disabled.',
    "NOPERM this user has no permissions to run the 'hset' command",
    "ERR The user executing the script can't run this command or subcommand script: 508e, on @user_script:1.",
    "ERR ACL failure in script: User default has no permissions to run the 'hset' command script: 508e",
    "ERR Error running script (call to f_508e): @user_script:1: @user_script: 1: -READONLY You can't write against a read only replica.",
  ])('%s: it is away', (message) => {
    expect(isTemporary(new Error(message))).toBe(true);
    expect(toAppError(new Error(message)).code).toBe('unavailable');
  });

  it.each([
    'ERR unknown command',
    'ERR Error running script (call to f_508e): @user_script:1: attempt to index a nil value',
    'WRONGTYPE Operation against a key holding the wrong kind of value',
    'we say: NOAUTH is a word',
  ])('%s: a mistake of ours', (message) => {
    expect(isTemporary(new Error(message))).toBe(false);
  });
});

describe('a SQLSTATE', () => {
  it.each(['08006', '25006', '28000', '28P01', '3D000', '40P01', '53300', '55000', '55P03', '57P03'])(
    '%s is temporary',
    (code) => expect(isTemporary({ code })).toBe(true),
  );
  it.each(['22001', '23502', '23503', '23505', '42501', '42P01', 'XX000'])('%s is not', (code) =>
    expect(isTemporary({ code })).toBe(false),
  );
});
