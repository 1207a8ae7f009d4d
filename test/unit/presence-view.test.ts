/** The node's view of presence: order, gaps, reloads, and what is left to announce. */
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { PresenceStatus, UserPresence } from '../../src/contract/presence.ts';
import { createLogger } from '../../src/platform/logger.ts';
import type { Snapshot, Transition } from '../../src/presence/presence.store.ts';
import { createView } from '../../src/presence/presence.view.ts';
import type { View } from '../../src/presence/presence.view.ts';
import { until } from '../support/until.ts';

const SEEN = '2026-01-01T00:00:00.000Z';
const presence = (user_id: string, status: PresenceStatus): UserPresence => ({
  user_id,
  status,
  last_seen: SEEN,
});
const transition = (version: number, userId: string, status: PresenceStatus): Transition => ({
  version,
  presence: presence(userId, status),
  rooms: [],
});

let view: View;
let inRedis: Snapshot;
let reads: number;
/** What the listeners heard. */
let changes: string[];
/** Held back by a test to have something happen during a read. */
let gate: Promise<void>;

const snapshot = (version: number, users: UserPresence[], more: Partial<Snapshot> = {}): Snapshot => ({
  epoch: 'e1',
  version,
  calm: false,
  users,
  online: 0,
  away: 0,
  ...more,
});
const news = (...transitions: Transition[]) => view.accept({ epoch: 'e1', transitions });
const taken = (now = 0) =>
  view.take(now).map(({ before, presence: { user_id, status } }) => `${user_id} ${before}>${status}`);

beforeEach(async () => {
  reads = 0;
  gate = Promise.resolve();
  inRedis = snapshot(10, [presence('u_a', 'online'), presence('u_b', 'away')]);
  changes = [];
  view = createView({
    onChange: ({ user_id, status }, open) => void changes.push([user_id, status, ...open].join(' ')),
    log: createLogger('silent'),
    async readSnapshot() {
      reads++;
      const read = inRedis;
      await gate;
      return read;
    },
    readStatuses: async (ids) =>
      ids.map((id) => ({ presence: presence(id, 'offline'), rooms: [], left: [] })),
    onDirty() {},
    onReload() {},
  });
  await view.reload();
  view.take(0);
  changes = [];
});

describe('the order of the log', () => {
  it('applies transitions by version, whatever the order they come in, and each once', () => {
    news(transition(12, 'u_c', 'offline'));
    expect(view.statusOf('u_c')).toBe('offline');
    news(transition(11, 'u_c', 'online'), transition(13, 'u_d', 'online'));
    news(transition(11, 'u_c', 'online'));
    expect(view.statusOf('u_c')).toBe('offline');
    expect(view.statusOf('u_d')).toBe('online');
    expect(view.counts()).toEqual({ online: 2, away: 1 });
    expect(changes).toEqual(['u_c online', 'u_c offline', 'u_d online']);
    view.stop();
  });

  it('announces somebody gone to those who watch a room just left, and as a change in open rooms alone', () => {
    news({ ...transition(11, 'u_a', 'offline'), rooms: ['r_open'], left: ['r_left'] });
    expect(changes).toEqual(['u_a offline r_open']);
    expect(view.take(0)).toMatchObject([{ rooms: ['r_open', 'r_left'] }]);
  });

  it('reads the snapshot when a version stays away, and takes over the differences only', async () => {
    inRedis = snapshot(12, [presence('u_b', 'away'), presence('u_c', 'online')]);
    news(transition(12, 'u_c', 'online'));
    await until(() => view.statusOf('u_c') === 'online', 'the snapshot is taken over');
    expect(taken()).toEqual(['u_a online>offline', 'u_c offline>online']);
  });

  it('applies on top of the snapshot what came while it was read', async () => {
    let open = () => {};
    gate = new Promise((done) => (open = done));
    const reloading = view.reload();
    news(transition(10, 'u_a', 'away'), transition(11, 'u_b', 'online'));
    expect(view.statusOf('u_b')).toBe('away');
    open();
    await reloading;
    expect(view.statusOf('u_a')).toBe('online');
    expect(view.statusOf('u_b')).toBe('online');
  });

  it('reads the snapshot of a log that went back, or on, or began anew', async () => {
    for (const log of [
      { epoch: 'e1', version: 9 },
      { epoch: 'e1', version: 11 },
      { epoch: 'e2', version: 10 },
    ]) {
      const before = reads;
      view.check(log);
      await until(() => reads > before, JSON.stringify(log));
      await view.reload();
    }
    const before = reads;
    view.check({ epoch: 'e1', version: 10 });
    expect(reads).toBe(before);
  });

  it('keeps those whom a Redis that is being refilled misses, until it is calm no more', async () => {
    inRedis = snapshot(1, [presence('u_b', 'away')], { epoch: 'e2', calm: true });
    await view.reload();
    expect(taken()).toEqual([]);
    inRedis = snapshot(1, [presence('u_b', 'away')], { epoch: 'e2' });
    view.check({ epoch: 'e2', version: 1 });
    await until(() => view.statusOf('u_a') === 'offline', 'u_a is gone');
    expect(taken()).toEqual(['u_a online>offline']);
  });
});

describe('what is to be announced', () => {
  it('is measured against what was announced before', () => {
    news(transition(11, 'u_a', 'offline'), transition(12, 'u_a', 'away'));
    expect(taken()).toEqual(['u_a online>away']);
    news(transition(13, 'u_a', 'offline'), transition(14, 'u_a', 'away'));
    expect(taken()).toEqual(['u_a away>away']);
    expect(view.isDirty()).toBe(false);
  });

  it('comes down to one a second for a user who flaps', () => {
    let version = 10;
    let announced = 0;
    for (let now = 0; now < 20_000; now += 250) {
      version++;
      news(transition(version, 'u_a', version % 2 ? 'away' : 'online'));
      announced += view.take(now).filter((change) => change.before !== change.presence.status).length;
    }
    expect(announced).toBeGreaterThan(10);
    expect(announced).toBeLessThanOrEqual(23);
  });
});
