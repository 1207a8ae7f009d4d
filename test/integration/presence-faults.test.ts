/** Presence when nodes die, announcements are lost, and Redis is emptied, away or back. */
import { afterEach, describe, expect, it } from '@jest/globals';
import type { UserPresence } from '../../src/contract/presence.ts';
import { isTemporary } from '../../src/platform/errors.ts';
import { presenceScripts } from '../../src/presence/scripts.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';
import { startPresenceCity } from './presence-nodes.ts';
import type { PresenceCity, PresenceNode } from './presence-nodes.ts';

let city: PresenceCity;
let names = 0;
let sockets: TestSocket[] = [];
const someone = () => `u_citizen_${++names}`;
const come = async (userId: string, node: PresenceNode | undefined) => {
  const socket = await node!.client(userId);
  sockets.push(socket);
  return socket;
};

const told = (socket: TestSocket, userId: string): string[] =>
  socket.events
    .flatMap(({ name, payload }): UserPresence[] =>
      name === 'presence.update' ? [payload] : name === 'presence.bulk_update' ? payload.users : [],
    )
    .filter(({ user_id }) => user_id === userId)
    .map(({ status }) => status);
const sees = (socket: TestSocket, userId: string, ...statuses: string[]) =>
  until(() => told(socket, userId).join() === statuses.join(), `${userId}: ${statuses.join()}`).catch(() =>
    expect(told(socket, userId)).toEqual(statuses),
  );
const settled = async (socket: TestSocket, node: PresenceNode | undefined) => {
  const marker = someone();
  await node!.presence.setFromOutside(marker, 'test', 'online');
  await sees(socket, marker, 'online');
};
const isRegistered = (userId: string) =>
  until(
    async () => (await city.redis.get(`presence:user:${userId}`)) === 'online',
    `${userId} is registered`,
  );
/** The reaper is at work: it has seen Redis for long enough. */
const reaping = () =>
  until(async () => {
    const [pulse, calm] = await city.redis.hmget('city:presence:log', 'pulse', 'calm');
    return Number(pulse) > Number(calm);
  }, 'the reaper is at work');

afterEach(async () => {
  for (const socket of sockets) socket.close();
  sockets = [];
  await city.stop();
});

describe('a node', () => {
  it('that dies takes its users offline, once; those with a tab elsewhere stay', async () => {
    city = await startPresenceCity(3);
    const [a, b, c] = city.nodes;
    const departed: string[] = [];
    b!.presence.onTransition(({ user_id, status }) => {
      if (status === 'offline') departed.push(user_id);
    });
    const observer = await come(someone(), b);
    const crowd = Array.from({ length: 30 }, someone);
    const both = someone();
    for (const id of crowd) await come(id, a);
    await come(both, a);
    await come(both, c);
    await reaping();
    const cutAt = performance.now();
    a!.link.cut(); // its clients stay connected to it, but it cannot say so any more
    for (const id of crowd) await sees(observer, id, 'online', 'offline');
    expect(performance.now() - cutAt).toBeLessThan(15_000); // the users' own leases last for 40 s
    await settled(observer, b);
    expect(told(observer, both)).toEqual(['online']);
    expect(departed.sort()).toEqual([...crowd].sort());
    expect(await city.redis.zscore('city:nodes', a!.lease.run)).toBeNull();

    a!.link.mend(); // a frozen node that wakes up
    for (const id of crowd) await sees(observer, id, 'online', 'offline', 'online');
  });

  it('that dies is noticed by those who watch a room that one of its users had open', async () => {
    city = await startPresenceCity(2);
    const [a, b] = city.nodes;
    const alice = someone();
    const watcher = await come(someone(), b);
    await watcher.next('presence.bulk_update');
    await watcher.call('presence.unsubscribe', { city: true });
    await watcher.call('presence.subscribe', { room_ids: ['room_city_general'] });
    const tab = await come(alice, a);
    await a!.occupancy.open(tab.raw.id!, alice, 'room_city_general');
    await isRegistered(alice);
    await reaping();
    a!.link.cut();
    await until(() => told(watcher, alice).at(-1) === 'offline', 'alice is offline');
  });

  it('does not bring back who left while the link was dead, whatever it still carries', async () => {
    city = await startPresenceCity(2);
    const [a, b] = city.nodes;
    const alice = someone();
    const observer = await come(someone(), b);
    const tab = await come(alice, a);
    await sees(observer, alice, 'online');
    await reaping();
    a!.link.hold();
    expect((await tab.ack('presence.heartbeat', {})).error.code).toBe('unavailable');
    await sees(observer, alice, 'online', 'offline');
    tab.close();
    await until(() => a!.namespace.sockets.size === 0, 'the tab is closed');
    a!.link.mend();
    await until(() => a!.redis.commands.ping().catch(() => false), 'all that it carried has arrived');
    expect(await city.redis.exists(`city:presence:leases:${alice}`)).toBe(0);
    await settled(observer, b);
    expect(told(observer, alice)).toEqual(['online', 'offline']);
  });

  it('that stops in good order lets its users move without a flicker, and the rest end with it', async () => {
    city = await startPresenceCity(2, { lease: { retireMs: 3_000 } });
    const [a, b] = city.nodes;
    const [mover, leaver] = [someone(), someone()];
    const observer = await come(someone(), b);
    await come(leaver, a);
    await come(mover, a);
    await reaping();
    await a!.stop();
    await settled(observer, b); // a window has passed without the mover
    await come(mover, b);
    await sees(observer, leaver, 'online', 'offline');
    await until(async () => (await city.redis.hlen(`city:presence:leases:${mover}`)) === 1, 'reaped');
    await settled(observer, b);
    expect(told(observer, mover)).toEqual(['online']);
  });
});

it('a silent client is offline after its time', async () => {
  city = await startPresenceCity(2, { timings: { ttlMs: 1_000 } });
  const [a, b] = city.nodes;
  await reaping();
  const quiet = someone();
  const observer = await come(someone(), b);
  await come(quiet, a);
  await sees(observer, quiet, 'online', 'offline');
});

describe('a lost announcement', () => {
  /** Loses what a node announces, from now until the returned function is called. */
  const lose = (node: PresenceNode | undefined) => {
    const { namespace } = node!;
    const send = namespace.serverSideEmit.bind(namespace);
    let lost = 0;
    namespace.serverSideEmit = (() => ++lost > 0) as typeof namespace.serverSideEmit;
    return async () => {
      await until(() => lost > 0, 'an announcement is lost');
      namespace.serverSideEmit = send;
    };
  };

  it('is noticed by the version of the next', async () => {
    city = await startPresenceCity(2, { timings: { checkMs: 60_000 } });
    const [a, b] = city.nodes;
    const observer = await come(someone(), b);
    await settled(observer, a);
    const [lost, next] = [someone(), someone()];
    const restore = lose(a);
    await a!.presence.setFromOutside(lost, 'test', 'online');
    await restore();
    await a!.presence.setFromOutside(next, 'test', 'online');
    await sees(observer, next, 'online');
    await sees(observer, lost, 'online');
  });

  it('is noticed by the check when no other follows', async () => {
    city = await startPresenceCity(2);
    const [a, b] = city.nodes;
    const observer = await come(someone(), b);
    await settled(observer, a);
    const lost = someone();
    const restore = lose(a);
    await a!.presence.setFromOutside(lost, 'test', 'online');
    await restore();
    await sees(observer, lost, 'online');
  });
});

describe('Redis', () => {
  it('emptied: everybody is registered again, nobody flickers, new observers see all', async () => {
    city = await startPresenceCity(3);
    const [a, b, c] = city.nodes;
    const [alice, bob] = [someone(), someone()];
    const observer = await come(someone(), c);
    await come(alice, a);
    await (await come(bob, b)).call('presence.heartbeat', { status: 'away' });
    await sees(observer, alice, 'online');
    await until(() => told(observer, bob).at(-1) === 'away', 'bob is away');
    await reaping();
    const before = { alice: told(observer, alice), bob: told(observer, bob) };
    await city.redis.flushdb();
    await isRegistered(alice);
    await until(async () => (await city.redis.get(`presence:user:${bob}`)) === 'away', 'bob is registered');
    await reaping();
    await settled(observer, a);
    expect({ alice: told(observer, alice), bob: told(observer, bob) }).toEqual(before);
    const late = await come(someone(), a);
    await sees(late, alice, 'online');
    await sees(late, bob, 'away');
  });

  it('emptied: those of a node that is slow to notice do not flicker either', async () => {
    city = await startPresenceCity(2, { timings: { calmMs: 4_000 } });
    const [a, b] = city.nodes;
    const alice = someone();
    const observer = await come(someone(), b);
    await come(alice, a);
    await sees(observer, alice, 'online');
    a!.link.cut();
    await city.redis.flushdb();
    await settled(observer, b);
    const [epoch, version] = await city.redis.hmget('city:presence:log', 'epoch', 'version');
    expect(epoch).not.toBeNull();
    expect(Number(version)).toBeGreaterThan(0);
    a!.link.mend();
    await isRegistered(alice);
    await reaping();
    await settled(observer, b);
    expect(told(observer, alice)).toEqual(['online']);
  });

  it('emptied while a node dies: its users are gone once the rest has settled', async () => {
    city = await startPresenceCity(2);
    const [a, b] = city.nodes;
    const alice = someone();
    const observer = await come(someone(), b);
    await come(alice, a);
    await sees(observer, alice, 'online');
    a!.link.cut();
    await city.redis.flushdb();
    await sees(observer, alice, 'online', 'offline');
  });

  it('away for longer than every lease, and back with its data: nobody flickers', async () => {
    city = await startPresenceCity(3, { timings: { calmMs: 4_000 } });
    const [a, , c] = city.nodes;
    const crowd = Array.from({ length: 10 }, someone);
    for (const [i, id] of crowd.entries()) await come(id, city.nodes[i % 2]);
    const observer = await come(someone(), c);
    for (const id of crowd) await until(() => told(observer, id).length > 0, `${id} is seen`);
    await reaping();
    const departed: string[] = [];
    for (const node of city.nodes) {
      node.presence.onTransition(
        ({ user_id, status }) => void (status === 'offline' && departed.push(user_id)),
      );
      node.link.cut();
    }
    const runs = city.nodes.map(({ lease }) => `city:lease:${lease.run}`);
    await until(async () => (await city.redis.exists(...runs)) === 0, 'every lease has lapsed');
    await until(async () => {
      const pulse = Number(await city.redis.hget('city:presence:log', 'pulse'));
      const [seconds] = await city.redis.time();
      return Number(seconds) * 1000 - pulse > 2_000;
    }, 'the outage is long enough to tell');
    a!.link.mend(); // one finds Redis before the others do
    await until(async () => (await city.redis.exists(runs[0]!)) === 1, 'the first is back');
    for (const node of city.nodes) node.link.mend();
    await reaping();
    await settled(observer, a);
    for (const id of crowd) expect(told(observer, id)).toEqual(['online']);
    expect(departed).toEqual([]);
  });

  it('away: connects succeed, calls say unavailable; back: what happened meanwhile is made good', async () => {
    city = await startPresenceCity(2);
    const [a, b] = city.nodes;
    const [alice, bob] = [someone(), someone()];
    const observer = await come(someone(), b);
    const tab = await come(bob, a);
    await sees(observer, bob, 'online');
    a!.link.cut();
    await until(() => !a!.redis.isUp(), 'the link is gone');

    const late = await come(alice, a);
    expect((await late.ack('presence.heartbeat', {})).error).toMatchObject({
      code: 'unavailable',
      retryable: true,
    });
    expect((await late.ack('presence.subscribe', { city: true })).error.code).toBe('unavailable');
    await expect(a!.presence.list(5)).rejects.toThrow();
    expect(a!.presence.present().has(bob)).toBe(true);
    tab.close();

    a!.link.mend();
    await sees(observer, alice, 'online');
    await sees(observer, bob, 'online', 'offline');
    expect(await late.call('presence.heartbeat', {})).toMatchObject({ status: 'online' });
  });
});

it('a call that comes too late changes nothing, and is said to be temporary', async () => {
  city = await startPresenceCity(1);
  const scripts = presenceScripts(city.redis);
  const node = city.nodes[0]!;
  await node.occupancy.open('s1', 'u_here', 'room_city_general');
  await node.presence.setFromOutside('u_here', 'test', 'online');
  const state = async () => ({
    leases: [
      await city.redis.hkeys('city:presence:leases:u_here'),
      await city.redis.keys('city:presence:leases:*'),
    ],
    rooms: [
      await city.redis.hgetall('city:open:room:room_city_general'),
      await city.redis.keys('city:open:user:*'),
    ],
  });
  const before = await state();
  const past = node.lease.due() - 60_000;
  const { run } = node.lease;
  const lease = ['u_late', 's2', 'online', 40_000];
  const calls: [string, Promise<unknown>][] = [
    ['touch', scripts.cityTouch(past, run, ...lease)],
    ['register', scripts.cityRegister(past, run, ...lease)],
    ['close', scripts.cityClose(past, 'u_here', '@test', 0)],
    ['drop', scripts.cityDrop(past, 'u_here', '@test')],
    ['open', scripts.cityOpen(past, run, 'room_city_general', 'u_late', 's2')],
    ['shut', scripts.cityShut(past, run, 'room_city_general', 'u_here', 's1')],
  ];
  for (const [name, call] of calls) {
    const error: unknown = await call.catch((reason: unknown) => reason);
    expect({ name, error: String(error), temporary: isTemporary(error) }).toEqual({
      name,
      error: expect.stringContaining('LATE'),
      temporary: true,
    });
  }
  expect(await state()).toEqual(before);
});
