/** The presence scripts as typed calls on a Redis connection. */
import type { Redis } from 'ioredis';
import type { PresenceStatus } from '../contract/presence.ts';
import { SCRIPTS } from './presence.lua.ts';

/** version, user, status, last seen (ms), rooms that the user has open, rooms just left by somebody offline. */
export type RawTransition = [number, string, PresenceStatus, number, string[], string[]];
/** epoch, transitions. */
export type RawNews = [string, RawTransition[]];

/**
 * Times are milliseconds; a run is a node's id with the boot id of its start, '' for a lease of no node; after `due`, a
 * time of Redis, a call does nothing and is answered with an error (isTemporary).
 */
export interface ScriptCalls {
  /** Any number of user, connection, status, remaining ms; for both. */
  cityTouch(due: number, run: string, ...leases: (string | number)[]): Promise<RawNews>;
  cityRegister(due: number, run: string, ...leases: (string | number)[]): Promise<RawNews>;
  cityClose(due: number, user: string, conn: string, graceMs: number): Promise<RawNews>;
  cityDrop(due: number, user: string, conn: string): Promise<RawNews>;
  /** epoch, transitions, departures [room, user, members_online, µs], lease held, more to do, ms until the next lapses. */
  cityReap(
    run: string,
    limit: number,
    calmMs: number,
  ): Promise<[string, RawTransition[], [string, string, number, number][], number, number, number]>;
  /** epoch, version, calm, [user, last seen]… online and away (to the index `last`, -1 for all), how many of each. */
  citySnapshot(last: number): Promise<[string, number, number, string[], string[], number, number]>;
  /** How much was known of the user. */
  cityForget(user: string): Promise<number>;
  /** For each user: status, last seen, rooms open, rooms just left by somebody offline. */
  cityStatuses(...users: string[]): Promise<[PresenceStatus, number | string | null, string[], string[]][]>;
  /** Whether the lease was still held; the time of Redis; whether Redis knows the run from before. */
  cityRenew(run: string, leaseMs: number): Promise<[number, number, number]>;
  cityRetire(run: string, leaseMs: number): Promise<number>;
  /** Any number of room, user, connection; of each whether it was the user's first, the room's users, and when, µs. */
  cityOpen(due: number, run: string, ...opened: string[]): Promise<[number, number, number][]>;
  /** Whether it was the user's last connection in the room, the room's users, and when, µs. */
  cityShut(
    due: number,
    run: string,
    room: string,
    user: string,
    conn: string,
  ): Promise<[number, number, number]>;
}

/** The scripts on `redis`, defined at the first call for each connection. */
export function presenceScripts(redis: Redis): ScriptCalls {
  for (const [name, lua] of Object.entries(SCRIPTS)) {
    if (!(name in redis)) redis.defineCommand(name, { numberOfKeys: 0, lua });
  }
  return redis as unknown as ScriptCalls;
}
