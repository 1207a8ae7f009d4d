/** The bench itself, tiny: every scenario runs and gives figures, and a delivery that goes wrong makes a run void. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startGenerator } from '../../bench/load/generator.ts';
import type { RoomClient, RoomsLoad, RoomsOptions } from '../../bench/load/rooms.ts';
import type { ServerName } from '../../bench/scenario.ts';
import { SCENARIOS } from '../../bench/scenarios.ts';
import { startServices } from '../../bench/services.ts';
import type { Services } from '../../bench/services.ts';
import { startRelay } from './relay.ts';
import type { Strike } from './relay.ts';
import { shareClusters } from './shared-services.ts';

const ROOMS_LOAD = new URL('../../bench/load/rooms.ts', import.meta.url);

/** A machine that does much besides takes long over starting a cluster. */
const PATIENCE_MS = 120_000;

let services: Services;
let shared: Services;

beforeAll(async () => {
  services = await startServices({ durable: false });
  shared = shareClusters(services);
}, PATIENCE_MS);
afterAll(() => services?.stop(), PATIENCE_MS);

const context = (server: ServerName, own: Services) => ({
  server,
  size: 'smoke' as const,
  services: own,
  log: () => {},
});

const EACH = 10;
/** A body may have 10,000 characters. */
const TOO_LONG = 10_001;

interface Trouble {
  strike?: Strike;
  bodyLength?: number;
}

/** Two clients of one room of `server` send each so many messages, one after the other; what the ledger says. */
async function ledgerOf(server: ServerName, { strike, bodyLength = 100 }: Trouble = {}) {
  const cluster = await shared.start(server);
  const relay = strike && (await startRelay(cluster.nodes[0]!.url, strike));
  const [room] = await cluster.createRooms(1);
  const client = async (sender: number): Promise<RoomClient> => {
    const userId = `u_ledger_${sender}`;
    const token = await cluster.token(userId, { name: userId });
    return { url: relay?.url ?? cluster.nodes[0]!.url, token, userId, room: 0, reads: true, sender };
  };
  const generator = await startGenerator<RoomsLoad>(ROOMS_LOAD, {
    rooms: [{ id: room!, senders: 2 }],
    clients: [await client(0), await client(1)],
    numbered: server === 'city',
    bodyLength,
    patienceMs: strike === 'lose' ? 1_000 : 20_000,
  } satisfies RoomsOptions);
  try {
    await generator.call('connect', {});
    await generator.call('sendEach', { count: EACH });
    const sent = await generator.call('settle');
    return { sent, problems: await generator.call('verify', { sent }) };
  } finally {
    await generator.stop();
    await relay?.close();
  }
}

describe('the ledger', () => {
  it.each<[Strike, string]>([
    ['lose', 'deliveries lost: 1'],
    ['repeat', 'deliveries duplicates: 1'],
    ['swap', 'deliveries disordered: 1'],
  ])(
    'finds what a server does to one delivery: %s',
    async (strike, problem) => {
      expect(await ledgerOf('bare', { strike })).toEqual({ sent: [[EACH, EACH]], problems: [problem] });
    },
    PATIENCE_MS,
  );

  it.each<ServerName>(['bare', 'tutorial', 'city'])(
    'has nothing to say of %s',
    async (server) => {
      expect(await ledgerOf(server)).toEqual({ sent: [[EACH, EACH]], problems: [] });
    },
    PATIENCE_MS,
  );
});

it(
  'ends a load whose messages are refused, and says so',
  async () => {
    const { sent, problems } = await ledgerOf('city', { bodyLength: TOO_LONG });
    expect(sent).toEqual([[0, 0]]);
    expect(problems).toContainEqual(expect.stringMatching(/^refused: 20, the first: .*"invalid"/));
  },
  PATIENCE_MS,
);

describe('every scenario', () => {
  it.each(SCENARIOS.map((scenario) => [scenario.name, scenario.trials[0]!] as const))(
    'runs and gives its figures: %s',
    async (_, trial) => {
      const { figures, problems } = await trial.run(context('city', shared));
      expect(problems).toEqual([]);
      // A series has fewer steps when it is tiny, and so fewer figures.
      expect(Object.keys(trial.figures)).toEqual(expect.arrayContaining(Object.keys(figures)));
      for (const { figure } of trial.goals) expect(figures).toHaveProperty(figure);
      for (const [name, value] of Object.entries(figures)) {
        expect({ name, finite: Number.isFinite(value) }).toEqual({ name, finite: true });
      }
    },
    PATIENCE_MS,
  );
});
