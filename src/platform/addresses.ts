/** The address that a client is counted by. */
import type { IncomingMessage } from 'node:http';
import { isIP, isIPv4 } from 'node:net';
import type { Socket } from 'node:net';

/** An IPv4 address as a socket that listens for both kinds says it. */
const MAPPED = /^::ffff:(?=\d+\.)/i;
/** `1.2.3.4:5678` and `[::1]:5678`, as some proxies write them. */
const WITH_PORT = /^(?:\[([^\]]+)\]|(\d+\.\d+\.\d+\.\d+))(?::\d+)?$/;

/** The eight groups of an IPv6 address as numbers. */
function groupsOf(ipv6: string): number[] {
  // The URL parser writes every form alike: lower case, no dotted part.
  const [head = '', tail] = new URL(`http://[${ipv6}]`).hostname.slice(1, -1).split('::');
  const numbers = (part: string) => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  if (tail === undefined) return numbers(head);
  const [before, after] = [numbers(head), numbers(tail)];
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

/**
 * What `address` is counted as: an IPv4 address as it is, also out of its IPv6-mapped form; an IPv6 address as its
 * /64, which is what one subscriber has. Undefined for what is no address.
 */
export function normalAddress(address: string): string | undefined {
  const [, bracketed, dotted] = WITH_PORT.exec(address) ?? [];
  const ip = (bracketed ?? dotted ?? address).replace(/%.*$/, '').replace(MAPPED, '');
  if (isIPv4(ip)) return ip;
  if (isIP(ip) === 0) return undefined;
  const groups = groupsOf(ip);
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (mapped)
    return groups
      .slice(6)
      .flatMap((group) => [group >> 8, group & 255])
      .join('.');
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

export type AddressOf = (request: IncomingMessage) => string;

/**
 * Finds the address behind a request that came through `hops` proxies of ours: each appends to X-Forwarded-For the
 * address that it was called from, so that only the last `hops` entries are true, whatever a client sends. With 0 the
 * header counts for nothing.
 */
export function createAddresses(hops: number): AddressOf {
  /** A connection has one address, and many requests. */
  const peers = new WeakMap<Socket, string>();
  return ({ socket, headers }) => {
    const peer = peers.get(socket) ?? normalAddress(socket.remoteAddress ?? '') ?? 'unknown';
    peers.set(socket, peer);
    const header = headers['x-forwarded-for'];
    if (hops === 0 || header === undefined) return peer;
    const forwarded = String(header).split(',');
    const entry = forwarded[Math.max(0, forwarded.length - hops)]!.trim();
    return normalAddress(entry) ?? peer;
  };
}
