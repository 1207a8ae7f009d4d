/** Presence matches the truth on every observer, whatever dies, freezes or is emptied; nobody who is here flickers. */
import { Redis } from 'ioredis';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import { HEARTBEAT_INTERVAL_S } from '../../../src/contract/presence.ts';
import { until } from '../../support/until.ts';
import { startChaosCity } from '../city.ts';
import type { ChaosCity, ChaosCityOptions, Member } from '../city.ts';
import {
  createPresenceModel,
  falseNews,
  firstDifference,
  firstWrongCount,
  follow,
  readPresence,
  readRoom,
  watchPresence,
} from '../presence-model.ts';
import type { PresenceModel, PresenceObserver } from '../presence-model.ts';
import type { Scenario, ScenarioResult, Size } from '../scenario.ts';
import { stormOfPresence } from './presence-storm.ts';

const ROOM = 'room_city_general';
/** Milliseconds that the fault lasts. */
const LASTS = {
  smoke: { redisAway: 2_500, frozen: 8_000 },
  full: { redisAway: 60_000, frozen: 40_000 },
};
/** Milliseconds within which everybody is right again. */
const WITHIN = { kill: 10_000, other: 10_000 };
/** The same after a stop in good order. It takes 1.7 s; the machine of the smoke may stall for as long again. */
const WITHIN_OF_STOP = { smoke: 4_000, full: 2_000 };
/** Past its deadline a convergence is waited for this much longer, to tell how long it does take. */
const PATIENCE_MS = 15_000;

interface Tab {
  userId: string;
  node: Member;
  socket: Socket;
  close(): void;
}

/** People with tabs on the nodes of a city, in step with a model. */
function createPeople(city: ChaosCity, model: PresenceModel) {
  const tabs = new Set<Tab>();

  const open = async (userId: string, node: Member, status: 'online' | 'away' = 'online'): Promise<Tab> => {
    const token = await city.token(userId);
    const options = { auth: { token }, transports: ['websocket'], reconnectionDelayMax: 1_000 };
    const socket = io(`${node.url}/presence`, { ...options, forceNew: true });
    const rooms = socket.io.socket('/rooms', options);
    follow(model, socket, userId, node.name, { status });
    const say = () => void (socket.connected && socket.emit('presence.heartbeat', { status }));
    socket.on('connect', say);
    let left = () => {};
    rooms.on('connect', () => {
      rooms
        .timeout(10_000)
        .emitWithAck('room.join', { room_id: ROOM })
        .then(({ ok }) => {
          if (!ok || !rooms.connected) return;
          const connection = model.opened(userId, node.name, { room: ROOM });
          left = () => model.closed(connection);
        })
        .catch(() => {}); // cut again before the answer
    });
    rooms.on('disconnect', () => left());
    const beat = setInterval(say, HEARTBEAT_INTERVAL_S * 1000);
    const tab: Tab = {
      userId,
      node,
      socket,
      close() {
        clearInterval(beat);
        tabs.delete(tab);
        rooms.close();
        socket.close();
      },
    };
    tabs.add(tab);
    await until(() => socket.connected, `${userId} is connected to ${node.name}`, 20_000);
    return tab;
  };

  return {
    open,
    tabs,
    on: (node: Member) => [...tabs].filter((tab) => tab.node === node),
    close: () => [...tabs].forEach((tab) => tab.close()),
  };
}

/** The scenario with a build of one's choice. */
export async function runPresence(
  size: Size,
  log: (line: string) => void,
  options: ChaosCityOptions = {},
): Promise<ScenarioResult> {
  const figures: ScenarioResult['figures'] = {};
  const problems: string[] = [];
  const city = await startChaosCity({ nodes: 3, workers: 0, ...options });
  const redis = new Redis(city.redisUrl);
  redis.on('error', () => {}); // it is killed below
  const model = createPresenceModel();
  const people = createPeople(city, model);
  const observers: PresenceObserver[] = [];
  const lasts = LASTS[size];

  const at = (node: Member) => observers[city.nodes.indexOf(node)]!;
  const readers = await Promise.all(city.nodes.map(({ name }) => city.token(`u_reader_${name}`)));

  /** The first wrong thing that the nodes or their observers say. */
  const wrong = async (nodes: Member[]): Promise<string | undefined> => {
    const watched = nodes.map(at);
    const cut = watched.find(({ socket }) => !socket.connected);
    if (cut) return `${cut.name} is not connected`;
    const difference = firstDifference(model.expected(), watched);
    if (difference) return difference;
    for (const node of nodes) {
      const token = readers[city.nodes.indexOf(node)]!;
      try {
        const [here, inRoom] = [await readPresence(node.url, token), await readRoom(node.url, token, ROOM)];
        const found =
          firstDifference(model.expected(), [here]) ?? firstDifference(model.expectedIn(ROOM), [inRoom]);
        if (found) return found;
      } catch (error) {
        return String(error);
      }
    }
    return undefined;
  };

  /** Waits until all is right on `nodes`, and notes how long after `from` that was. */
  const converge = async (fault: string, within: number, from: number, nodes = city.nodes) => {
    let last: string | undefined = 'nothing was looked at';
    while ((last = await wrong(nodes)) && performance.now() - from < within + PATIENCE_MS) await sleep(10);
    const took = Math.round(performance.now() - from);
    figures[`${fault}, ms`] = last ? `not in ${took}` : took;
    log(`presence: ${fault}: ${last ?? `right after ${took} ms`}`);
    if (last || took > within)
      problems.push(`${fault}: right after ${took} ms, not ${within}: ${last ?? ''}`);
    await until(() => !firstWrongCount(model.expected(), nodes.map(at)), 'counts', 3_000).catch(() => {
      problems.push(`${fault}: ${firstWrongCount(model.expected(), nodes.map(at))}`);
    });
  };

  /** Runs a fault, unless one before it broke something; what was told falsely meanwhile is a problem. */
  const fault = async (name: string, run: (name: string) => Promise<void>) => {
    if (problems.length > 0) return;
    const since = performance.now();
    await run(name);
    const told = falseNews(model, observers, since);
    figures[`${name}, false news`] = told.length;
    problems.push(...told.slice(0, 5).map((each) => `${name}: ${each}`));
  };

  const gone = (node: Member) =>
    until(
      () => [...people.on(node), at(node)].every(({ socket }) => !socket.connected),
      `${node.name} is gone for its clients`,
    );
  const restart = async (...nodes: Member[]) => {
    await Promise.all(nodes.map((node) => node.start()));
    const clients = nodes.flatMap((node) => [...people.on(node), at(node)]);
    await until(() => clients.every(({ socket }) => socket.connected), 'the clients are back', 20_000);
  };
  const others = (...without: Member[]) => city.nodes.filter((node) => !without.includes(node));

  const [one, two, three] = city.nodes as [Member, Member, Member];
  try {
    for (const node of city.nodes) {
      const userId = `u_watch_${node.name}`;
      const observer = await watchPresence(node.url, await city.token(userId), `observer on ${node.name}`);
      follow(model, observer.socket, userId, node.name);
      observers.push(observer);
    }
    await fault('everybody comes', async (name) => {
      for (let n = 1; n <= 5; n++) {
        for (const node of city.nodes) await people.open(`u_three_tabs_${n}`, node);
      }
      for (const node of city.nodes) {
        for (let n = 1; n <= 3; n++) await people.open(`u_only_${node.name}_${n}`, node);
      }
      // The most active connection decides: without node 1 this user is away.
      await people.open('u_shade', one);
      await people.open('u_shade', two, 'away');
      await people.open('u_mover', two);
      await converge(name, WITHIN.other, performance.now());
    });

    await fault('SIGKILL of a node', async (name) => {
      await one.kill('SIGKILL');
      const from = performance.now();
      await gone(one);
      await converge(name, WITHIN.kill, from, [two, three]);
    });

    await fault('graceful stop', async (name) => {
      const mover = people.on(two).find(({ userId }) => userId === 'u_mover')!;
      const moved = once(mover.socket as unknown as NodeJS.EventEmitter, 'disconnect').then(() => {
        mover.close();
        return people.open('u_mover', three);
      });
      const asked = performance.now();
      await two.kill('SIGTERM');
      const exited = performance.now();
      figures[`${name}, exit after ms`] = Math.round(exited - asked);
      await moved;
      await converge(`${name} (from the exit)`, WITHIN_OF_STOP[size], exited, [three]);
    });

    await fault('both nodes back', async (name) => {
      await restart(one, two);
      await converge(name, WITHIN.other, performance.now());
    });

    await fault('FLUSHALL', async (name) => {
      await redis.flushall();
      await converge(name, WITHIN_OF_STOP[size], performance.now());
      people.on(three).at(-1)!.close();
      await converge('a tab closed right after FLUSHALL', WITHIN.other, performance.now());
    });

    await fault('Redis SIGKILL and restart', async (name) => {
      await city.redis.kill('SIGKILL');
      const leaver = [...people.tabs].find(({ userId }) => userId === `u_only_${one.name}_1`)!;
      leaver.close();
      await people.open('u_came_without_redis', two);
      await sleep(lasts.redisAway);
      await city.redis.start();
      await converge(name, WITHIN.other, performance.now());
    });

    /** Takes nodes out of the city for a while; one tab of each closes meanwhile. */
    const away = async (name: string, nodes: Member[], out: () => void, back: () => void) => {
      const from = performance.now();
      out();
      for (const node of nodes) model.nodeLost(node.name);
      await converge(`${name}: seen by the others`, WITHIN.kill, from, others(...nodes));
      for (const node of nodes) {
        people
          .on(node)
          .find(({ userId }) => userId.startsWith('u_only'))!
          .close();
      }
      await sleep(Math.max(0, lasts.frozen - (performance.now() - from)));
      const wrongMeanwhile = await wrong(others(...nodes));
      if (wrongMeanwhile) problems.push(`${name}: in the end ${wrongMeanwhile}`);
      back();
      for (const node of nodes) model.nodeBack(node.name);
      const healed = performance.now();
      await Promise.all([
        converge(`${name}: after it, on the others`, WITHIN.other, healed, others(...nodes)),
        converge(`${name}: after it, everywhere`, WITHIN.other, healed),
      ]);
      await sleep(500); // so that a late untruth is told before the fault is judged
    };
    const freeze = [() => two.freeze(), () => two.thaw()] as const;
    const cut = [() => three.edges.redis.blackhole(), () => three.edges.redis.pass()] as const;
    if (size === 'smoke') {
      const both = (which: 0 | 1) => () => (freeze[which](), cut[which]());
      await fault('one node frozen, one cut off from Redis', (name) =>
        away(name, [two, three], both(0), both(1)),
      );
    } else {
      await fault('SIGSTOP of a node', (name) => away(name, [two], ...freeze));
      await fault('a node cut off from Redis', (name) => away(name, [three], ...cut));
      // Those who flap are strangers to the model: what is told of them is not judged.
      if (problems.length === 0) await stormOfPresence(city, figures, problems);
    }
    problems.push(...city.accidents());
    return { figures, problems };
  } finally {
    people.close();
    for (const observer of observers) observer.close();
    redis.disconnect();
    await city.stop();
  }
}

export const presence: Scenario = {
  name: 'presence',
  promise: 'Presence matches the truth on every observer; nobody flickers while one connection lives',
  run: ({ size, log }) => runPresence(size, log),
};
