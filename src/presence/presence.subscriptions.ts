/** Whom a socket has named to be told of: users, rooms, the city. */
import type { PresenceSnapshot, PresenceSubscription, UserPresence } from '../contract/presence.ts';
import { AppError } from '../platform/errors.ts';
import type { PresenceSocket } from '../platform/io.ts';
import type { Metrics } from '../platform/metrics.ts';
import type { Occupancy } from './occupancy.ts';
import { roomAudience, userAudience } from './presence.audience.ts';
import type { Audience } from './presence.audience.ts';
import * as store from './presence.store.ts';
import type { ScriptCalls } from './scripts.ts';

/** Users of named rooms in one answer. */
const ROOM_USERS_MAX = 500;

interface SubscriptionsDeps {
  scripts: ScriptCalls;
  occupancy: Occupancy;
  audience: Audience;
  metrics: Metrics;
  /** Users and rooms that one connection may name, over all its subscriptions. */
  namedMax: number;
}

export function createSubscriptions(deps: SubscriptionsDeps) {
  const { scripts, occupancy, audience, metrics, namedMax } = deps;
  const channels = ({ user_ids = [], room_ids = [] }: PresenceSubscription) => [
    ...user_ids.map(userAudience),
    ...room_ids.map(roomAudience),
  ];

  /** How the named users, and those who have the named rooms open, stand. */
  const read = async ({ user_ids = [], room_ids = [] }: PresenceSubscription) => {
    const counts = await occupancy.counts(room_ids);
    const named = new Set(user_ids);
    const enough = named.size + ROOM_USERS_MAX;
    for (const roomId of new Set(room_ids)) {
      if (named.size >= enough) break;
      for (const userId of await occupancy.members(roomId, enough - named.size)) named.add(userId);
    }
    // Without Redis every presence call fails, so also one that names nobody.
    if (named.size === 0) await store.snapshot(scripts, 1);
    const users = (await store.statuses(scripts, [...named])).map(({ presence }) => presence);
    return { users, rooms: [...counts].map(([room_id, members_online]) => ({ room_id, members_online })) };
  };

  return {
    async add(socket: PresenceSocket, wanted: PresenceSubscription): Promise<PresenceSnapshot> {
      const added = channels(wanted).filter((channel) => !socket.rooms.has(channel));
      if (socket.rooms.size + added.length > namedMax) {
        metrics.refusals.inc({ limit: 'subscriptions_socket' });
        throw new AppError('rate_limited', `A connection may name at most ${namedMax} users and rooms.`);
      }
      if (wanted.city) audience.expectInCity(socket);
      // In the audience before the answer is read, so that nothing falls between the two.
      if (socket.connected) void socket.join(added);
      try {
        const { users, rooms } = await read(wanted);
        audience.shown(socket, users);
        if (!wanted.city || !socket.connected) return { users, rooms };
        const everybody = new Map<string, UserPresence>();
        for (const presence of [...users, ...audience.enterCity(socket)]) {
          everybody.set(presence.user_id, presence);
        }
        return { users: [...everybody.values()], rooms };
      } catch (error) {
        for (const channel of added) void socket.leave(channel);
        throw error;
      }
    },

    async remove(socket: PresenceSocket, unwanted: PresenceSubscription): Promise<PresenceSnapshot> {
      for (const channel of channels(unwanted)) void socket.leave(channel);
      if (unwanted.city) audience.leaveCity(socket);
      return read(unwanted);
    },
  };
}
