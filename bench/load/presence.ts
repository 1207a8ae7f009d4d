/**
 * A load of presence: users who say every so often that they are there, some who leave and come back, and watchers who
 * are told of it, each of users of its own.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createHistogram } from '../measure/histogram.ts';
import { nowUs } from './clock.ts';
import { openAll } from './crowd.ts';
import type { Wire } from './wire.ts';

export interface PresenceOptions {
  users: { id: string; url: string; token: string }[];
  watchers: { url: string; token: string; watches: string[] }[];
  /** Whether watchers have to leave the audience of the whole city, which they are put into. */
  leaveCity: boolean;
  /** Between two heartbeats of one user. */
  intervalMs: number;
}

export type PresenceLoad = ReturnType<typeof create>;

export interface PresenceWindow {
  seconds: number;
  /** Heartbeats acknowledged. */
  beats: number;
  /** µs from the scheduled moment to the acknowledgement. */
  ack: number[];
  left: number;
  returned: number;
  /** Changes that watchers were told so far. */
  told: number;
  /** Frames of numbers that one connection got. */
  countsPerConnection: number;
}

interface User {
  id: string;
  url: string;
  token: string;
  wire: Wire | undefined;
  goneSinceUs: number;
}

const OK = Buffer.from('"ok":true');
/** Where the names of presence events differ: `["presence.` stands before. */
const NAME_AT = 11;
const [UPDATE, BULK, COUNT] = [0x75, 0x62, 0x63];
/** Longer than the grace of a reload, so that a return is seen as one. */
const AWAY_US = 3_000_000;
const CONVERGED_MS = 10_000;

export function create({ users: given, watchers, leaveCity, intervalMs }: PresenceOptions) {
  const users: User[] = given.map((user) => ({ ...user, wire: undefined, goneSinceUs: 0 }));
  /** Whose heartbeat is next; it goes on from window to window, or the second half would never be heard. */
  let turn = 0;
  const gone: User[] = [];
  /** What the watchers were told last, by user. */
  const pictured = new Map<string, string>();
  const watching: Wire[] = [];
  const problems: string[] = [];
  const ack = createHistogram();
  const counts = { beats: 0, left: 0, returned: 0, watcherFrames: 0, told: 0, counts: 0 };

  const onUserEvent = (frame: Buffer, at: number) => {
    if (frame[at + NAME_AT] === COUNT) counts.counts++;
  };
  const onWatcherEvent = (frame: Buffer, at: number) => {
    const kind = frame[at + NAME_AT];
    if (kind !== UPDATE && kind !== BULK) return;
    counts.watcherFrames++;
    const [, payload] = JSON.parse(frame.toString('utf8', at)) as [string, unknown];
    const changes = (kind === BULK ? (payload as { users: unknown[] }).users : [payload]) as {
      user_id: string;
      status: string;
    }[];
    counts.told += changes.length;
    for (const { user_id, status } of changes) pictured.set(user_id, status);
  };

  const options = (id: string, token: string) => ({
    namespaces: ['/presence'],
    auth: `{"token":"${token}"}`,
    onLost: (reason: string) => problems.push(`${id} lost its connection: ${reason}`),
  });
  const ask = (wire: Wire, event: string, payload: object) =>
    new Promise<{ ok: boolean; data: unknown }>((resolve) =>
      wire.request('/presence', event, JSON.stringify(payload), (frame, at) =>
        resolve((JSON.parse(frame.toString('utf8', at)) as [never])[0]),
      ),
    );

  const enter = (list: User[], atOnce: number) =>
    openAll(list, atOnce, async (user, open) => {
      user.wire = await open({ ...options(user.id, user.token), url: user.url, onEvent: onUserEvent });
    });

  const beat = (user: User, scheduledUs: number) =>
    user.wire?.request('/presence', 'presence.heartbeat', '{}', (frame, at) => {
      if (frame.indexOf(OK, at) !== at + 2)
        problems.push(`a heartbeat was refused: ${String(frame).slice(0, 200)}`);
      counts.beats++;
      ack.record(nowUs() - scheduledUs);
    });

  const leave = (user: User) => {
    user.wire!.close();
    user.wire = undefined;
    user.goneSinceUs = nowUs();
    gone.push(user);
    counts.left++;
  };
  const comeBack = () => {
    if (!gone[0] || nowUs() - gone[0].goneSinceUs < AWAY_US) return;
    const user = gone.shift()!;
    counts.returned++;
    enter([user], 1).catch((error: unknown) => problems.push(`a return failed: ${String(error)}`));
  };

  const pending = () => users.reduce((sum, { wire }) => sum + (wire?.pending() ?? 0), 0);

  return {
    /** Brings everybody in. */
    async connect({ atOnce }: { atOnce: number }): Promise<void> {
      await enter(users, atOnce);
      await openAll(watchers, 10, async ({ url, token, watches }, open) => {
        const wire = await open({ ...options('a watcher', token), url, onEvent: onWatcherEvent });
        watching.push(wire);
        if (leaveCity) await ask(wire, 'presence.unsubscribe', { city: true });
        const { ok, data } = await ask(wire, 'presence.subscribe', { user_ids: watches });
        if (!ok) throw new Error('a watcher was refused');
        const { users: now } = data as { users: { user_id: string; status: string }[] };
        for (const { user_id, status } of now) pictured.set(user_id, status);
      });
    },

    /**
     * Goes on for so long: heartbeats if asked for, spread evenly over the interval, and the share `churn` of all users
     * that leaves within each interval, while as many come back.
     */
    async run({ ms, beats, churn }: { ms: number; beats: boolean; churn: number }): Promise<PresenceWindow> {
      Object.assign(counts, { beats: 0, left: 0, returned: 0, watcherFrames: 0, told: 0, counts: 0 });
      ack.clear();
      const began = nowUs();
      const endUs = began + ms * 1_000;
      const beatUs = (intervalMs * 1_000) / users.length;
      const leaveUs = beatUs / churn;
      let [beatsDue, leavesDue] = [0, 0];
      for (let now = began; now < endUs; now = nowUs()) {
        for (; beats && began + beatsDue * beatUs <= now; beatsDue++)
          beat(users[turn++ % users.length]!, began + beatsDue * beatUs);
        for (; began + (leavesDue + 1) * leaveUs <= now; leavesDue++) {
          // Spread over all users, and over the blocks of the watchers.
          const user = users[(leavesDue * 7_919) % users.length]!;
          if (user.wire) leave(user);
          comeBack();
        }
        await sleep(2);
      }
      for (const deadline = Date.now() + CONVERGED_MS; pending() > 0 && Date.now() < deadline;)
        await sleep(2);
      const seconds = (nowUs() - began) / 1e6;
      const { beats: answered, left, returned, told, counts: numbers } = counts;
      return {
        seconds,
        beats: answered,
        ack: ack.counts(),
        left,
        returned,
        told,
        countsPerConnection: numbers / users.length,
      };
    },

    /** The changes that watchers were told since the last run began, and in how many frames. */
    async told(): Promise<{ told: number; watcherFrames: number }> {
      const { told, watcherFrames } = counts;
      return { told, watcherFrames };
    },

    /** What went wrong: what was not answered, who was lost and, of who left and came back, what watchers do not know. */
    async verify(): Promise<string[]> {
      const wrong = () =>
        users.filter(
          ({ id, wire }) => leaveCity && (pictured.get(id) !== 'offline') !== (wire !== undefined),
        );
      for (const deadline = Date.now() + CONVERGED_MS; wrong().length > 0 && Date.now() < deadline;)
        await sleep(50);
      const [first] = wrong();
      return [
        ...problems.slice(0, 5),
        ...(pending() > 0 ? [`${pending()} heartbeats were not acknowledged`] : []),
        ...(first ? [`watchers are wrong about ${wrong().length} users, such as ${first.id}`] : []),
      ];
    },
  };
}
