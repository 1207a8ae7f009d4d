/** Presence on three healthy nodes: statuses, transitions, views, counts. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { UserPresence } from '../../src/contract/presence.ts';
import { reap } from '../../src/presence/presence.store.ts';
import { presenceScripts } from '../../src/presence/scripts.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';
import { startPresenceCity } from './presence-nodes.ts';
import type { PresenceCity } from './presence-nodes.ts';

let city: PresenceCity;
let names = 0;
const someone = () => `u_citizen_${++names}`;
const sockets: TestSocket[] = [];
const come = async (userId: string, node = 0, of = city) => {
  const socket = await of.nodes[node]!.client(userId);
  sockets.push(socket);
  return socket;
};

/** Every status of `userId` that `socket` was told, in order. */
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
/** Resolves when all that was made before has been announced to `socket`. */
const settled = async (socket: TestSocket, of = city) => {
  const marker = someone();
  await of.nodes[0]!.presence.setFromOutside(marker, 'test', 'online');
  await sees(socket, marker, 'online');
  await of.nodes[0]!.presence.setFromOutside(marker, 'test', 'offline');
};

beforeAll(async () => {
  city = await startPresenceCity(3);
});
afterAll(async () => {
  for (const socket of sockets) socket.close();
  await city.stop();
});

describe('a connection that flaps', () => {
  const transitions = async () => Number(await city.redis.hget('city:presence:log', 'version'));
  const flap = async (tab: TestSocket) => {
    for (let n = 0; n < 60; n++) {
      await tab.call('presence.heartbeat', { status: n % 2 === 0 ? 'away' : 'online' });
      if (n % 20 === 10) await tab.call('presence.offline', {});
    }
  };

  it('is answered every time, keeps Redis busy once a second, and ends as it stood last', async () => {
    const flapper = someone();
    const tab = await come(flapper);
    const [before, start] = [await transitions(), performance.now()];
    await flap(tab);
    const seconds = (performance.now() - start) / 1000;
    expect((await transitions()) - before).toBeLessThan(12 + seconds);
    await tab.call('presence.heartbeat', { status: 'away' });
    await until(
      async () => (await city.nodes[1]!.presence.get(flapper)).status === 'away',
      'away in the end',
    );
  });

  it('and is gone when it closes, whatever was still to be told', async () => {
    const flapper = someone();
    const tab = await come(flapper);
    await flap(tab);
    await tab.call('presence.offline', {});
    tab.close();
    await until(
      async () => (await city.redis.hlen(`city:presence:leases:${flapper}`)) === 0,
      'no lease is left',
      5_000,
    );
    expect(await city.nodes[1]!.presence.get(flapper)).toMatchObject({ status: 'offline' });
  });
});

describe('statuses', () => {
  it('follows a user through online, away, back and offline, on every node', async () => {
    const alice = someone();
    const observer = await come(someone(), 1);
    const tab = await come(alice);
    await sees(observer, alice, 'online');
    expect(await city.redis.get(`presence:user:${alice}`)).toBe('online');

    expect(await tab.call('presence.heartbeat', { user_id: alice, idle_ms: 300_000 })).toEqual({
      status: 'away',
      ttl_s: 40,
      interval_s: 20,
    });
    await sees(observer, alice, 'online', 'away');
    expect(await city.redis.get(`presence:user:${alice}`)).toBe('away');

    expect(await tab.call('presence.heartbeat', { idle_ms: 299_999 })).toMatchObject({ status: 'online' });
    await sees(observer, alice, 'online', 'away', 'online');
    const left = await city.redis.pttl(`presence:user:${alice}`);
    expect(left).toBeGreaterThan(20_000);
    expect(left).toBeLessThanOrEqual(40_000);

    tab.close();
    await sees(observer, alice, 'online', 'away', 'online', 'offline');
    expect(await city.redis.exists(`presence:user:${alice}`)).toBe(0);
    const after = await city.nodes[2]!.presence.get(alice);
    expect(after).toMatchObject({ user_id: alice, status: 'offline' });
    expect(Date.now() - Date.parse(after.last_seen!)).toBeLessThan(30_000);
  });

  it('lets the most active of several tabs decide, and ends with the last', async () => {
    const alice = someone();
    const observer = await come(someone(), 1);
    const tabs = [await come(alice, 0), await come(alice, 1), await come(alice, 2)];
    await tabs[0]!.call('presence.heartbeat', { status: 'away' });
    await tabs[1]!.call('presence.heartbeat', { status: 'away' });
    await settled(observer);
    await sees(observer, alice, 'online');
    await tabs[2]!.call('presence.heartbeat', { status: 'away' });
    await sees(observer, alice, 'online', 'away');
    tabs[0]!.close();
    tabs[2]!.close();
    await until(async () => (await city.redis.hlen(`city:presence:leases:${alice}`)) === 1, 'one tab left');
    await settled(observer);
    await sees(observer, alice, 'online', 'away');
    tabs[1]!.close();
    await sees(observer, alice, 'online', 'away', 'offline');
  });

  it('does not flicker when a page is reloaded, also onto another node', async () => {
    const alice = someone();
    const observer = await come(someone(), 1);
    const before = await come(alice, 0);
    await sees(observer, alice, 'online');
    before.close();
    await settled(observer); // a window has passed without alice
    await come(alice, 2);
    const leases = `city:presence:leases:${alice}`;
    await until(async () => (await city.redis.hlen(leases)) === 1, 'the old lease is reaped');
    await settled(observer);
    expect(told(observer, alice)).toEqual(['online']);
  });

  it('counts a connection for the grace however short it was', async () => {
    const alice = someone();
    const observer = await come(someone(), 1);
    (await come(alice)).close();
    await sees(observer, alice, 'online', 'offline');
    expect(await city.redis.exists(`city:presence:leases:${alice}`)).toBe(0);
  });

  it('takes a user offline at once when the page says so', async () => {
    const alice = someone();
    const tab = await come(alice);
    expect(await tab.call('presence.offline', {})).toEqual({});
    expect(await city.redis.exists(`presence:user:${alice}`)).toBe(0);
    await tab.call('presence.heartbeat', {});
    expect(await city.redis.get(`presence:user:${alice}`)).toBe('online');
  });

  it('refuses a heartbeat for somebody else', async () => {
    const tab = await come(someone());
    const answer = await tab.ack('presence.heartbeat', { user_id: 'u_somebody_else' });
    expect(answer.error.code).toBe('forbidden');
  });

  it('spends one script call on a heartbeat and nothing else', async () => {
    const tab = await come(someone(), 1);
    await tab.call('presence.heartbeat', {}); // which shares its call with the connect
    const { commands } = city.nodes[1]!.redis;
    const seen: string[] = [];
    const send = commands.sendCommand.bind(commands);
    commands.sendCommand = ((command: { name: string; args: unknown[] }, ...rest: never[]) => {
      if (command.args.some((arg) => String(arg) === tab.raw.id)) seen.push(command.name);
      else if (/^(hset|zadd|get|set|expire|pexpire)$/i.test(command.name)) seen.push(command.name);
      return send(command as never, ...rest);
    }) as typeof commands.sendCommand;
    for (let i = 0; i < 4; i++) await tab.call('presence.heartbeat', {});
    commands.sendCommand = send;
    expect(seen).toHaveLength(4);
    expect(seen.every((name) => name === 'evalsha' || name === 'eval')).toBe(true);
  });

  it('shares one script call among heartbeats that come together', async () => {
    const tabs = await Promise.all(Array.from({ length: 6 }, () => come(someone(), 1)));
    const { commands } = city.nodes[1]!.redis;
    let calls = 0;
    const send = commands.sendCommand.bind(commands);
    commands.sendCommand = ((command: { args: unknown[] }, ...rest: never[]) => {
      if (command.args.some((arg) => tabs.some(({ raw }) => raw.id === String(arg)))) calls++;
      return send(command as never, ...rest);
    }) as typeof commands.sendCommand;
    await Promise.all(tabs.map((tab) => tab.call('presence.heartbeat', {})));
    commands.sendCommand = send;
    expect(calls).toBeGreaterThan(0);
    expect(calls).toBeLessThan(6);
  });

  it('does not bring back who went offline while the heartbeat waited for others', async () => {
    const alice = someone();
    const tab = await come(alice);
    await Promise.all([tab.call('presence.heartbeat', {}), tab.call('presence.offline', {})]);
    expect(await city.redis.exists(`presence:user:${alice}`)).toBe(0);
  });

  it('announces no heartbeat, only transitions', async () => {
    const alice = someone();
    const tab = await come(alice);
    const observer = await come(someone(), 1);
    await sees(observer, alice, 'online');
    const { version } = await versionOf();
    for (let i = 0; i < 5; i++) await tab.call('presence.heartbeat', {});
    expect(await versionOf()).toEqual({ version });
    await settled(observer);
    expect(told(observer, alice)).toEqual(['online']);
  });

  it('counts a source outside the city as one more connection', async () => {
    const alice = someone();
    const observer = await come(someone(), 1);
    const { presence } = city.nodes[0]!;
    await presence.setFromOutside(alice, 'matrix', 'away');
    await sees(observer, alice, 'away');
    const tab = await come(alice);
    await sees(observer, alice, 'away', 'online');
    await presence.setFromOutside(alice, 'matrix', 'offline');
    await tab.call('presence.offline', {});
    await sees(observer, alice, 'away', 'online', 'offline');
  });
});

const versionOf = async () => ({ version: await city.redis.hget('city:presence:log', 'version') });

describe('what a connection is told', () => {
  it('starts with everybody, itself too, and the count', async () => {
    const [alice, bob] = [someone(), someone()];
    await come(alice, 0);
    await until(() => city.nodes[1]!.presence.present().has(alice), 'node 1 knows');
    const tab = await come(bob, 1);
    const { users } = await tab.next('presence.bulk_update');
    const ids = users.map(({ user_id }: UserPresence) => user_id);
    expect(ids).toEqual(expect.arrayContaining([alice, bob]));
    expect(await tab.next('presence.count')).toEqual({
      online: expect.any(Number),
      away: expect.any(Number),
    });
  });

  it('neither misses nor repeats what happens around the connecting, within one window', async () => {
    const [early, turned, late] = [someone(), someone(), someone()];
    const { presence } = city.nodes[1]!;
    await presence.setFromOutside(early, 'test', 'online');
    await presence.setFromOutside(turned, 'test', 'online');
    const tab = await come(someone(), 1);
    await tab.next('presence.bulk_update');
    await presence.setFromOutside(turned, 'test', 'away');
    await presence.setFromOutside(late, 'test', 'online');
    await sees(tab, late, 'online');
    await settled(tab);
    expect(told(tab, early)).toEqual(['online']);
    expect(told(tab, turned)).toEqual(['online', 'away']);
  });

  it('gathers a burst in one bulk update and leaves out what cancels out', async () => {
    const observer = await come(someone(), 1);
    await observer.next('presence.bulk_update');
    const { presence } = city.nodes[0]!;
    const { present } = city.nodes[1]!.presence;
    /** Who comes, who only passes, and how long both took since what was told last: a window has 250 ms. */
    const burst = async () => {
      await settled(observer);
      const began = performance.now();
      const crowd = Array.from({ length: 20 }, someone);
      const passing = someone();
      for (const userId of [passing, ...crowd]) void presence.setFromOutside(userId, 'test', 'online');
      await until(() => present().has(crowd.at(-1)!), 'the observing node knows');
      await presence.setFromOutside(passing, 'test', 'offline');
      crowd.push(someone());
      await presence.setFromOutside(crowd.at(-1)!, 'test', 'online');
      await until(() => present().has(crowd.at(-1)!), 'the observing node knows of the last');
      return { crowd, passing, ms: performance.now() - began };
    };
    const bursts = [await burst()];
    while (bursts.at(-1)!.ms > 180 && bursts.length < 20) bursts.push(await burst()); // the machine stalled
    const { crowd, passing } = bursts.at(-1)!;
    const { users } = await observer.next('presence.bulk_update', (payload) =>
      payload.users.some(({ user_id }: UserPresence) => user_id === crowd[0]),
    );
    const ids = users.map(({ user_id }: UserPresence) => user_id);
    expect(ids).toEqual(expect.arrayContaining(crowd));
    await settled(observer);
    expect(told(observer, passing)).toEqual([]);
    const gone = bursts.flatMap((one) => one.crowd);
    await Promise.all(gone.map((id) => presence.setFromOutside(id, 'test', 'offline')));
  });

  it('is told the numbers at most once a second, and the last ones in the end', async () => {
    const began = performance.now();
    const observer = await come(someone(), 2);
    const at: number[] = [];
    observer.raw.on('presence.count', () => at.push(performance.now()));
    const crowd: string[] = [];
    const { presence } = city.nodes[0]!;
    await until(
      async () => {
        crowd.push(someone());
        await presence.setFromOutside(crowd.at(-1)!, 'test', 'online');
        return at.length >= 4;
      },
      'four counts',
      15_000,
    );
    expect(at.length - 1).toBeLessThanOrEqual((performance.now() - began) / 1_000);
    await until(async () => {
      const { online, away } = await presence.list(1);
      const last = observer.of('presence.count').at(-1);
      return last.online === online && last.away === away;
    }, 'the last count is right');
    await Promise.all(crowd.map((id) => presence.setFromOutside(id, 'test', 'offline')));
  });

  it('takes the city out of the view and named users into it', async () => {
    const [alice, bob] = [someone(), someone()];
    const observer = await come(someone(), 1);
    await observer.next('presence.bulk_update');
    await observer.call('presence.unsubscribe', { city: true });
    const answer = await observer.call('presence.subscribe', { user_ids: [alice] });
    expect(answer).toEqual({ users: [{ user_id: alice, status: 'offline', last_seen: null }], rooms: [] });
    const { presence } = city.nodes[0]!;
    await presence.setFromOutside(bob, 'test', 'online');
    await presence.setFromOutside(alice, 'test', 'online');
    await sees(observer, alice, 'online');
    expect(told(observer, bob)).toEqual([]);
    const { users } = await observer.call('presence.subscribe', { city: true });
    expect(users).toContainEqual(expect.objectContaining({ user_id: bob, status: 'online' }));
  });

  it('leaves out the city at the last word of its client, whatever was under way before', async () => {
    const [named, stranger] = [someone(), someone()];
    const newcomer = await come(someone(), 1);
    await newcomer.call('presence.unsubscribe', { city: true });
    const [undecided, returner] = [await come(someone(), 1), await come(someone(), 1)];
    for (const socket of [undecided, returner]) await socket.next('presence.bulk_update');
    const say = (socket: TestSocket, ...words: string[]) =>
      Promise.all(words.map((word) => socket.call(`presence.${word}`, { city: true })));
    await say(undecided, 'unsubscribe', 'subscribe', 'unsubscribe');
    await say(returner, 'unsubscribe', 'subscribe');
    await newcomer.next('presence.count'); // the welcome is over

    for (const socket of [newcomer, undecided])
      await socket.call('presence.subscribe', { user_ids: [named] });
    const { presence } = city.nodes[0]!;
    await presence.setFromOutside(stranger, 'test', 'online');
    await presence.setFromOutside(named, 'test', 'online');
    for (const socket of [newcomer, undecided]) {
      await sees(socket, named, 'online');
      expect(told(socket, stranger)).toEqual([]);
    }
    await sees(returner, stranger, 'online');
  });

  it('tells those who watch a room that somebody closed the page, and not of a room left long before', async () => {
    const alice = someone();
    const [room, other] = ['room_city_general', 'room_city_science'];
    const watch = async (roomId: string) => {
      const watcher = await come(someone(), 1);
      await watcher.next('presence.bulk_update');
      await watcher.call('presence.unsubscribe', { city: true });
      await watcher.call('presence.subscribe', { room_ids: [roomId] });
      return watcher;
    };
    const [here, elsewhere, witness] = [await watch(room), await watch(other), await come(someone(), 1)];
    const tab = await come(alice, 0);
    await sees(witness, alice, 'online');
    const { occupancy } = city.nodes[0]!;
    for (const roomId of [room, other]) await occupancy.open(tab.raw.id!, alice, roomId);
    await occupancy.close(tab.raw.id!, alice, other);
    await city.redis.zadd(`city:open:left:${alice}`, 'XX', Date.now() - 60_000, other);
    await occupancy.close(tab.raw.id!, alice, room);
    tab.close();
    await sees(witness, alice, 'online', 'offline');
    await sees(here, alice, 'offline');
    expect(told(elsewhere, alice)).toEqual([]);
  });
});

it('keeps nothing of somebody forgotten, not even the rooms that they leave', async () => {
  const alice = someone();
  const { occupancy } = city.nodes[0]!;
  await occupancy.open('s1', alice, 'room_city_general');
  await occupancy.open('s2', alice, 'room_city_science');
  await occupancy.close('s1', alice, 'room_city_general');
  expect(await city.redis.keys(`*:${alice}`)).toContain(`city:open:left:${alice}`);
  await presenceScripts(city.redis).cityForget(alice);
  await occupancy.close('s2', alice, 'room_city_science');
  expect(await city.redis.keys(`*:${alice}`)).toEqual([]);
});

describe('past the view of the whole city', () => {
  it('shows counts, and changes of those who are named, each once', async () => {
    const large = await startPresenceCity(2, { cityViewMax: 5 });
    try {
      const { presence, occupancy } = large.nodes[0]!;
      const crowd = Array.from({ length: 8 }, someone);
      await Promise.all(crowd.map((id) => presence.setFromOutside(id, 'test', 'online')));
      await until(() => large.nodes[1]!.presence.present().size === 8, 'node 1 knows');
      const [named, inRoom, stranger] = [someone(), someone(), someone()];
      await occupancy.open('some-socket', inRoom, 'room_city_general');
      await occupancy.open('some-socket', named, 'room_city_general');

      const observer = await come(someone(), 1, large);
      expect(await observer.next('presence.bulk_update')).toEqual({ users: [] });
      expect(await observer.next('presence.count')).toMatchObject({ away: 0 });
      const answer = await observer.call('presence.subscribe', {
        user_ids: [named],
        room_ids: ['room_city_general'],
      });
      expect(answer.rooms).toEqual([{ room_id: 'room_city_general', members_online: 2 }]);
      expect(answer.users).toHaveLength(2);

      await presence.setFromOutside(stranger, 'test', 'online');
      await presence.setFromOutside(named, 'test', 'online');
      await presence.setFromOutside(inRoom, 'test', 'online');
      await until(() => told(observer, inRoom).length > 0, 'the room is seen');
      expect(told(observer, named)).toEqual(['online']);
      expect(told(observer, inRoom)).toEqual(['online']);
      expect(told(observer, stranger)).toEqual([]);

      await observer.call('presence.unsubscribe', { user_ids: [named], room_ids: ['room_city_general'] });
      await observer.call('presence.subscribe', { user_ids: [stranger] });
      await presence.setFromOutside(named, 'test', 'away');
      await presence.setFromOutside(stranger, 'test', 'away');
      await until(() => told(observer, stranger).includes('away'), 'the stranger is seen');
      expect(told(observer, named)).toEqual(['online']);

      const gone = [...crowd, stranger, inRoom];
      await Promise.all(gone.map((id) => presence.setFromOutside(id, 'test', 'offline')));
      await observer.next('presence.bulk_update', ({ users }) =>
        users.some(({ user_id, status }: UserPresence) => user_id === named && status === 'away'),
      );
    } finally {
      for (const socket of sockets) socket.close();
      await large.stop();
    }
  });

  it('says in the end who went while it was too large', async () => {
    const large = await startPresenceCity(1, { cityViewMax: 5 });
    try {
      const { presence } = large.nodes[0]!;
      const put = (ids: string[], status: 'online' | 'away' | 'offline') =>
        Promise.all(ids.map((id) => presence.setFromOutside(id, 'test', status)));
      const [stays, goes, returns] = [someone(), someone(), someone()];
      const passing = [...Array(8)].map(someone);
      await put([stays, goes, returns], 'online');
      const observer = await come(someone(), 0, large);
      for (const id of [stays, goes, returns]) await sees(observer, id, 'online');
      await put(passing, 'online');
      const later = await come(someone(), 0, large);
      expect(await later.next('presence.bulk_update')).toEqual({ users: [] }); // it is large
      await put([goes, returns], 'offline');
      const { last_seen } = await presence.get(goes);
      await put([returns], 'away');
      await put(passing, 'offline');
      await sees(observer, goes, 'online', 'offline');
      const { users } = observer.of('presence.bulk_update').at(-1);
      const now = new Map(users.map(({ user_id, ...rest }: UserPresence) => [user_id, rest]));
      expect(now.get(goes)).toEqual({ status: 'offline', last_seen });
      expect(now.get(returns)).toMatchObject({ status: 'away' });
      expect(now.get(stays)).toMatchObject({ status: 'online' });
      expect(told(later, goes)).toEqual(['offline']);
      for (const id of passing) expect(told(observer, id)).not.toContain('online');
    } finally {
      for (const socket of sockets) socket.close();
      await large.stop();
    }
  });
});

describe('for the rest of the city', () => {
  it('calls the listeners of every node for a transition, with the rooms that are open', async () => {
    const alice = someone();
    const heard: string[] = [];
    for (const [i, node] of city.nodes.entries()) {
      node.presence.onTransition((transition, rooms) => {
        if (transition.user_id === alice) heard.push(`${i} ${transition.status} ${rooms.join()}`);
      });
    }
    await city.nodes[1]!.occupancy.open('s1', alice, 'room_city_science');
    const observer = await come(someone(), 2);
    const tab = await come(alice, 0);
    await sees(observer, alice, 'online');
    await tab.call('presence.offline', {});
    await sees(observer, alice, 'online', 'offline');
    await until(() => heard.length >= 6, 'all nodes have heard');
    for (const node of [0, 1, 2]) {
      expect(heard.filter((line) => line.startsWith(`${node} `))).toEqual([
        `${node} online room_city_science`,
        `${node} offline room_city_science`,
      ]);
    }
  });

  it('lists who is here, and knows nothing of a stranger', async () => {
    const alice = someone();
    await come(alice, 0);
    const { presence } = city.nodes[2]!;
    await until(async () => (await presence.get(alice)).status === 'online', 'alice is here');
    const { users, online, away } = await presence.list(500);
    expect(users.filter(({ status }) => status === 'online')).toHaveLength(online);
    expect(users.filter(({ status }) => status === 'away')).toHaveLength(away);
    expect((await presence.list(1)).users).toHaveLength(1);
    const statuses = await presence.statuses([alice, 'u_stranger']);
    expect(statuses.get(alice)?.status).toBe('online');
    expect(statuses.get('u_stranger')).toEqual({
      user_id: 'u_stranger',
      status: 'offline',
      last_seen: null,
    });
  });
});

it('looks for lapsed leases when the next is due, and seldom while none is', async () => {
  const longLeases = { leaseMs: 60_000, renewMs: 20_000 };
  const quiet = await startPresenceCity(1, {
    timings: { reapIdleMs: 750, graceMs: 4_000 },
    lease: longLeases,
  });
  const scripts = presenceScripts(quiet.redis);
  const due = async () => (await reap(scripts, quiet.nodes[0]!.lease.run, 0)).dueInMs;
  try {
    const looks: number[] = [];
    await until(async () => {
      const look = Number(await quiet.redis.hget('city:presence:log', 'pulse'));
      if (look !== looks.at(-1)) looks.push(look);
      const [first, second, third] = looks.slice(-3) as [number, number, number];
      return third - second > 400 && second - first > 400;
    }, 'two looks with a rest before each');

    expect(await due()).toBeGreaterThan(40_000); // the node's own lease
    const alice = someone();
    const tab = await come(alice, 0, quiet);
    await tab.call('presence.heartbeat', {});
    tab.close();
    await until(async () => (await due()) <= 4_000, 'the grace of the closed connection is due next');
    expect(await quiet.redis.hlen(`city:presence:leases:${alice}`)).toBe(1);
    await until(async () => !(await quiet.redis.exists(`city:presence:leases:${alice}`)), 'it is over');
  } finally {
    await quiet.stop();
  }
});
