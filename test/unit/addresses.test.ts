import { describe, expect, it } from '@jest/globals';
import type { IncomingMessage } from 'node:http';
import { createAddresses, normalAddress } from '../../src/platform/addresses.ts';

describe('normalAddress', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7:4711', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['[::ffff:203.0.113.7]:80', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::6', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::6]:443', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
    ['', undefined],
    ['unknown', undefined],
    ['_hidden', undefined],
    ['999.1.1.1', undefined],
    ['1.2.3', undefined],
    ['::1]', undefined],
    ['1.2.3.4, 5.6.7.8', undefined],
    ['2001:db8::1/64', undefined],
    ['a'.repeat(10_000), undefined],
  ])('%j is %j', (address, expected) => expect(normalAddress(address)).toBe(expected));
});

describe('the address of a request', () => {
  const behind = (hops: number, forwarded?: string, remoteAddress: string | undefined = '::ffff:10.0.0.1') =>
    createAddresses(hops)({
      socket: { remoteAddress },
      headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
    } as unknown as IncomingMessage);

  it.each([
    [0, undefined, '10.0.0.1'],
    [0, '1.1.1.1', '10.0.0.1'],
    [1, undefined, '10.0.0.1'],
    [1, '203.0.113.7', '203.0.113.7'],
    [1, '1.1.1.1, 203.0.113.7', '203.0.113.7'],
    [1, '1.1.1.1,2.2.2.2,2001:db8:1:2::6', '2001:db8:1:2::/64'],
    [2, '1.1.1.1, 203.0.113.7, 198.51.100.1', '203.0.113.7'],
    [2, '203.0.113.7', '203.0.113.7'],
    [1, 'nonsense', '10.0.0.1'],
    [1, '203.0.113.7, ', '10.0.0.1'],
    [1, '', '10.0.0.1'],
  ])('behind %i proxies with %j is %s', (hops, forwarded, expected) => {
    expect(behind(hops, forwarded)).toBe(expected);
  });

  it('is one and the same for all that have gone already', () => {
    expect(createAddresses(0)({ socket: {}, headers: {} } as unknown as IncomingMessage)).toBe('unknown');
  });
});
