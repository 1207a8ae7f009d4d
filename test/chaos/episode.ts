/**
 * An episode: fresh clients talk in fresh rooms, faults strike and are healed, everything comes to rest, and what the
 * clients wrote down is held against what the city stored.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FeedEvent } from '../../src/contract/feed.ts';
import { createRest } from '../support/rest.ts';
import { until } from '../support/until.ts';
import { createBalancer } from './balancer.ts';
import type { ChaosCity, Member } from './city.ts';
import { startClient } from './clients.ts';
import type { Client } from './clients.ts';
import type { Fault } from './faults.ts';
import { read, readRoom } from './history.ts';
import type { Rest } from './history.ts';
import { checkLog, checkReplies } from './invariants.ts';
import type { History, Problem, StoredRoom } from './invariants.ts';
import { createLedger } from './ledger.ts';
import type { Ask, Ledger } from './ledger.ts';
import { createRandom } from './random.ts';

/** Seconds, clients and messages a second. */
export interface Load {
  clients: number;
  rooms: number;
  rate: number;
  calmS: number;
  /** Each asks their Second Me once in two seconds. */
  askers: number;
}

export const LOADS = {
  smoke: { clients: 60, rooms: 10, rate: 100, calmS: 2, askers: 2 },
  full: { clients: 200, rooms: 20, rate: 200, calmS: 5, askers: 4 },
} satisfies Record<string, Load>;

/** A fault and when it strikes, milliseconds after the calm. */
export interface Strike {
  fault: Fault;
  afterMs: number;
  lastsMs: number;
}

export interface EpisodeResult {
  name: string;
  problems: Problem[];
  sends: number;
  deliveries: number;
  /** Milliseconds. */
  ack: { calm: Quantiles; fault: Quantiles };
  delivery: { calm: Quantiles; fault: Quantiles };
  /** From the heal to the first success of a node, the slowest node; null when a node never had one. */
  recoveryMs: number | null;
}

export interface Quantiles {
  p50: number;
  p99: number;
  max: number;
}

const REST_MS = 2_000;
/** What a promise allows from the heal to the first success, and for everything to come to rest. */
const RECOVERY_MS = 5_000;
const SETTLE_MS = 30_000;
/** In calm hardly anything has to be read: news brings it. */
const CALM_READ_SHARE = 0.2;
const CALM_TRIES = 3;
const OUTAGE_NEWS_MS = 2_000;

let episodes = 0;

/** Runs the load, the strikes and the checks; `name` says what struck. */
export async function runEpisode(
  city: ChaosCity,
  options: { name: string; strikes: Strike[]; load: Load; seed: number; settleMs?: number },
): Promise<EpisodeResult> {
  const { name, strikes, load, seed, settleMs = SETTLE_MS } = options;
  const tag = `e${++episodes}`;
  const random = createRandom(seed);
  const ledger = createLedger();
  const balancer = createBalancer(city.nodes);
  const entrance = await balancer.open();
  const accidentsBefore = city.accidents().length;
  const admin = await city.token(`u_${tag}_admin`);
  const rest = createRest(city.nodes[0]!.url, admin);

  // Rooms that go on talking, and rooms whose last word falls into the trouble.
  const names = Array.from({ length: load.rooms }, (_, n) => `${tag}-${n % 3 === 2 ? 'quiet' : 'busy'}-${n}`);
  const rooms: string[] = [];
  for (const slug of names)
    rooms.push((await rest('POST', '/city/rooms', { name: slug, slug })).body.id as string);
  const quiet = rooms.filter((id) => id.includes('-quiet-'));
  const busy = rooms.filter((id) => id.includes('-busy-'));

  const clients: Client[] = [];
  for (let n = 0; n < load.clients; n++) {
    const userId = `u_${tag}_${n}`;
    // Some keep to one node and to the transports of a default client; the others go through the balancer.
    const loyal = n % 5 === 0;
    clients.push(
      startClient({
        url: loyal ? city.nodes[n % city.nodes.length]!.url : entrance,
        transports: loyal ? ['polling', 'websocket'] : ['websocket'],
        token: await city.token(userId),
        userId,
        rooms: [rooms[n % rooms.length]!],
        ledger,
        random,
        careless: n % 7 === 0,
      }),
    );
  }
  const problems: Problem[] = [];
  const breach = (invariant: Problem['invariant'], what: string) => problems.push({ invariant, what });
  const load$ = startLoad({
    load,
    clients,
    ledger,
    random,
    rooms: { all: rooms, busy, quiet },
    city,
    balancer: entrance,
    tag,
  });
  const probes = city.nodes.map((node) => startProbe(node, rooms[0]!, admin, tag));
  try {
    await until(() => clients.every((client) => client.isCurrent()), 'every client has its rooms', SETTLE_MS);
    const calmFrom = performance.now();
    load$.begin();
    let readShare = NaN;
    // A machine that stalls delays news, which are read then: that passes, and a node that tells none does not.
    for (let tries = 0; tries < CALM_TRIES && !(readShare <= CALM_READ_SHARE); tries++) {
      const before = await readDeliveries(city);
      await sleep(load.calmS * 1_000);
      const after = await readDeliveries(city);
      readShare = (after.read - before.read) / (after.all - before.all);
    }
    const struckAt = performance.now();
    if (!(readShare <= CALM_READ_SHARE)) {
      breach('I11', `in calm, ${Math.round(readShare * 100)} % of the deliveries were read and not news`);
    }
    load$.trouble();
    await strike(city, strikes, random);
    const healedAt = performance.now();
    await Promise.all(
      probes.map((probe) =>
        until(() => probe.successAfter(healedAt) !== undefined, probe.name, settleMs).catch(
          (error: unknown) => breach('I9', `${String(error)}; it got: ${probe.last()}`),
        ),
      ),
    );
    const recoveries = probes.map((probe) => probe.successAfter(healedAt));
    const recoveryMs = recoveries.includes(undefined)
      ? null
      : Math.max(...(recoveries as number[])) - healedAt;
    if (recoveryMs !== null && recoveryMs > RECOVERY_MS) {
      breach('I9', `the first success came ${Math.round(recoveryMs)} ms after the heal`);
    }
    await Promise.all([load$.end(settleMs), ...probes.map((probe) => probe.stop())]);

    const settled = (what: string, done: () => boolean | Promise<boolean>, invariant: Problem['invariant']) =>
      until(done, what, settleMs).catch((error: unknown) => breach(invariant, String(error)));
    await settled(
      'every request is acknowledged',
      () => clients.every((client) => client.pending() === 0),
      'I9',
    );
    const stored = await Promise.all(rooms.map((id) => readRoom(rest, id)));
    const heads = new Map(stored.map(({ id, last_change_seq }) => [id, last_change_seq]));
    const behind = () => ledger.views.find(({ room, seen }) => seen < heads.get(room)!);
    await settled('every client has seen the end of its rooms', () => !behind(), 'I5');
    await settled('every invocation has ended', () => repliesAreIn(city, ledger.asks), 'I10');

    problems.push(...checkLog(ledger, stored));
    problems.push(...checkReplies(ledger, await readHistories(city, ledger.asks)));
    problems.push(...(await checkFeed(rest, stored)));
    problems.push(...(await checkPresence(city, clients, rooms)));
    for (const refusal of ledger.refusals) breach('I9', refusal);
    for (const accident of city.accidents().slice(accidentsBefore)) breach('I8', accident);

    const latencies = measure(ledger, calmFrom, struckAt, healedAt);
    const outage = strikes.every(({ fault }) => fault.takes === 'redis');
    if (outage && latencies.delivery.fault.p99 > OUTAGE_NEWS_MS) {
      breach(
        'I11',
        `without Redis, one delivery in a hundred took over ${Math.round(latencies.delivery.fault.p99)} ms`,
      );
    }
    return {
      name,
      problems,
      sends: ledger.sends.length,
      deliveries: ledger.views.reduce(
        (sum, { sessions }) => sum + sessions.reduce((n, { live }) => n + live.length, 0),
        0,
      ),
      recoveryMs,
      ...latencies,
    };
  } finally {
    load$.stop();
    await Promise.all(probes.map((probe) => probe.stop()));
    for (const client of clients) client.close();
    balancer.close();
  }
}

/** Strikes at the appointed times and heals everything; a fault that finds nothing left to break is left out. */
async function strike(city: ChaosCity, strikes: Strike[], random: () => number): Promise<void> {
  const taken = new Set<unknown>();
  const take = <T>(among: T[]): T => {
    const free = among.filter((each) => !taken.has(each));
    if (free.length === 0) throw new Occupied();
    const chosen = free[Math.floor(random() * free.length)]!;
    taken.add(chosen);
    return chosen;
  };
  await Promise.all(
    strikes.map(async ({ fault, afterMs, lastsMs }) => {
      await sleep(afterMs);
      const mine: unknown[] = [];
      const own = <T>(chosen: T): T => (mine.push(chosen), chosen);
      try {
        if (fault.takes) own(take([fault.takes]));
        const heal = await fault.strike({
          city,
          random,
          node: () => own(take(city.nodes)),
          worker: () => own(take(city.workers)),
          pause: (ms) => sleep(ms),
        });
        await sleep(lastsMs);
        await heal();
      } catch (error) {
        if (!(error instanceof Occupied)) throw error;
      } finally {
        for (const each of mine) taken.delete(each);
      }
    }),
  );
}

class Occupied extends Error {}

interface LoadOptions {
  load: Load;
  clients: Client[];
  ledger: Ledger;
  random: () => number;
  rooms: { all: string[]; busy: string[]; quiet: string[] };
  city: ChaosCity;
  balancer: string;
  tag: string;
}

/** Sends at a steady rate whatever becomes of it (open loop), and asks agents. */
function startLoad({ load, clients, random, rooms, ledger, city, balancer, tag }: LoadOptions) {
  let talking = rooms.all;
  let ticking: NodeJS.Timeout | undefined;
  let asking: NodeJS.Timeout | undefined;
  let hushing: NodeJS.Timeout | undefined;
  const asks: Promise<void>[] = [];
  let going = false;
  let stopped = false;

  const tick = (() => {
    let due = 0;
    let last = performance.now();
    return () => {
      const now = performance.now();
      // A pause of this process is not made up for.
      due += (Math.min(now - last, 1_000) / 1_000) * load.rate;
      last = now;
      for (; due >= 1; due--) {
        const room = talking[Math.floor(random() * talking.length)]!;
        const inRoom = clients.filter((_, n) => rooms.all[n % rooms.all.length] === room);
        inRoom[Math.floor(random() * inRoom.length)]!.send(room);
      }
    };
  })();

  /** Asks until the prompt is accepted. */
  const invoke = async (ask: Ask): Promise<void> => {
    const rest = createRest(balancer, await city.token(ask.user));
    const headers = { prefer: 'respond-async', 'idempotency-key': ask.key };
    while (!stopped) {
      const answer = await rest('POST', '/secondme/invoke', { prompt: ask.prompt }, headers).catch(
        () => undefined,
      );
      if (answer && (answer.status === 200 || answer.status === 202)) {
        ask.id = answer.body.invocation_id as string;
        return;
      }
      await sleep(500);
    }
  };

  return {
    begin(): void {
      going = true;
      ticking = setInterval(tick, 10);
      let n = 0;
      asking = setInterval(() => {
        for (let k = 0; k < load.askers; k++) {
          const user = clients[(k * 11) % clients.length]!.userId;
          const ask: Ask = { key: `${user}-ask-${++n}`, user, prompt: `question ${tag} ${n}`, replies: [] };
          ledger.asks.push(ask);
          asks.push(invoke(ask));
        }
      }, 2_000);
    },
    /** The trouble begins: soon the quiet rooms fall silent for good. */
    trouble(): void {
      hushing = setTimeout(() => (talking = rooms.busy), 2_500);
    },
    /** Nothing new; resolves when every prompt is accepted. */
    async end(withinMs: number): Promise<void> {
      if (!going) return;
      clearInterval(ticking);
      clearInterval(asking);
      await Promise.race([Promise.all(asks), sleep(withinMs, undefined, { ref: false })]);
    },
    stop(): void {
      stopped = true;
      clearInterval(ticking);
      clearInterval(asking);
      clearTimeout(hushing);
    },
  };
}

/** Asks one node, past the balancer, for a new message five times a second, and notes when that worked. */
function startProbe(node: Member, room: string, token: string, tag: string) {
  const successes: number[] = [];
  let last = 'nothing';
  let going = true;
  let n = 0;
  const attempt = async () => {
    const began = performance.now();
    const body = { body: `probe-${tag}-${node.name}-${++n} .`, client_id: `probe-${tag}-${node.name}-${n}` };
    const response = await fetch(`${node.url}/city/rooms/${room}/messages`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(REST_MS),
    }).catch((error: unknown) => error as Error);
    last =
      response instanceof Response
        ? `${response.status}`
        : `${response.message} ${String(response.cause ?? '')}`;
    if (!(response instanceof Response)) return;
    if (response.status === 201) successes.push(began);
    await response.arrayBuffer().catch(() => undefined);
  };
  const ended = (async () => {
    while (going) await Promise.all([attempt(), sleep(200)]);
  })();
  return {
    name: `${node.name} takes a message after the heal`,
    /** What it got last: a status, or why there was none. */
    last: () => last,
    /** When the first success that began after `moment` began. */
    successAfter: (moment: number) => successes.find((at) => at >= moment),
    async stop(): Promise<void> {
      going = false;
      await ended;
    },
  };
}

/** Changes that the nodes delivered so far: all, and those that had to be read because no news brought them. */
async function readDeliveries({ nodes }: ChaosCity): Promise<{ all: number; read: number }> {
  const metrics = (
    await Promise.all(nodes.map(async ({ opsUrl }) => (await fetch(`${opsUrl}/metrics`)).text()))
  ).join('\n');
  const sum = (pattern: RegExp) =>
    [...metrics.matchAll(pattern)].reduce((total, [, count]) => total + Number(count), 0);
  return {
    all: sum(/^city_changes_delivered_total\{[^}]*\} (\d+)/gm),
    read: sum(/^city_changes_delivered_total\{source="read"\} (\d+)/gm),
  };
}

async function repliesAreIn(city: ChaosCity, asks: Ask[]): Promise<boolean> {
  await sleep(200);
  for (const { id, user } of asks) {
    if (id === undefined) continue;
    const rest = createRest(city.nodes[0]!.url, await city.token(user));
    const { status } = await read<{ status: string }>(rest, `/secondme/invocations/${id}`);
    if (status === 'queued' || status === 'running') return false;
  }
  return true;
}

async function readHistories(city: ChaosCity, asks: Ask[]): Promise<Map<string, History>> {
  const histories = new Map<string, History>();
  for (const user of new Set(asks.map((ask) => ask.user))) {
    const rest = createRest(city.nodes[0]!.url, await city.token(user));
    histories.set(user, await read<History>(rest, '/secondme/history?limit=200'));
  }
  return histories;
}

/** Every message that is not deleted has one event in the feed, and no other has. */
async function checkFeed(rest: Rest, rooms: StoredRoom[]): Promise<Problem[]> {
  const expected = new Set(
    rooms.flatMap(({ messages }) => messages.filter((message) => !message.deleted_at).map(({ id }) => id)),
  );
  const mine = new Set(rooms.map(({ id }) => id));
  const found = new Map<string, number>();
  for (let before = ''; ;) {
    const page = await read<FeedEvent[]>(rest, `/city/feed?limit=200&kind=room_message${before}`);
    for (const { room_id, payload } of page) {
      const id = payload.message_id as string;
      if (mine.has(room_id!)) found.set(id, (found.get(id) ?? 0) + 1);
    }
    if (page.length < 200 || page.every(({ room_id }) => !mine.has(room_id!))) break;
    before = `&before=${page.at(-1)!.id}`;
  }
  const missing = [...expected].find((id) => !found.has(id));
  const wrong = [...found].find(([id, times]) => times > 1 || !expected.has(id));
  return [
    ...(missing ? [{ invariant: 'I10', what: `the feed has no event of ${missing}` } as const] : []),
    ...(wrong ? [{ invariant: 'I10', what: `the feed has ${wrong[1]} events of ${wrong[0]}` } as const] : []),
  ];
}

/** Every node soon says of every client that it is online, of nobody else in these rooms, and counts the rooms right. */
async function checkPresence(city: ChaosCity, clients: Client[], rooms: string[]): Promise<Problem[]> {
  let offender = '';
  const agrees = async () => {
    await sleep(100);
    for (const { url, name } of city.nodes) {
      const rest = createRest(url, await city.token('u_observer'));
      const answer = await rest('GET', '/city/presence');
      if (answer.status !== 200) return void (offender = `${name} answers ${answer.status}`);
      const online = new Set((answer.body.users as { user_id: string }[]).map(({ user_id }) => user_id));
      const absent = clients.find(({ userId }) => !online.has(userId));
      if (absent) return void (offender = `${name} says that ${absent.userId} is offline`);
      for (const [index, room] of rooms.entries()) {
        const present = clients.filter((_, n) => n % rooms.length === index).length;
        const { members_online } = (await rest('GET', `/city/rooms/${room}`)).body;
        if (members_online !== present) {
          return void (offender = `${name} counts ${members_online} in ${room}, there are ${present}`);
        }
      }
    }
    return true;
  };
  return until(agrees, 'presence', 10_000).then(
    () => [],
    () => [{ invariant: 'I10' as const, what: `10 s after everything came to rest: ${offender}` }],
  );
}

function quantiles(values: number[]): Quantiles {
  const sorted = values.sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}

/** Latencies of what was sent in calm and in trouble: to the acknowledgement, and to those who had the room open. */
function measure({ sends, views }: Ledger, calmFrom: number, struckAt: number, healedAt: number) {
  const sentAt = new Map(sends.flatMap(({ ack, sentAt: at }) => (ack ? [[ack.id, at] as const] : [])));
  const inCalm = (at: number) => at >= calmFrom && at < struckAt - 1_000;
  const inFault = (at: number) => at >= struckAt && at < healedAt;
  const acks = sends.flatMap(({ sentAt: at, ackedAt }) =>
    ackedAt === undefined ? [] : [{ at, took: ackedAt - at }],
  );
  const deliveries = views.flatMap(({ sessions }) => {
    const told = new Set<string>();
    return sessions.flatMap(({ live }) =>
      live.flatMap(({ id, at }) => {
        const sent = sentAt.get(id);
        if (sent === undefined || told.has(id)) return [];
        told.add(id);
        return [{ at: sent, took: at - sent }];
      }),
    );
  });
  const within = (found: { at: number; took: number }[], span: (at: number) => boolean) =>
    quantiles(found.filter(({ at }) => span(at)).map(({ took }) => took));
  return {
    ack: { calm: within(acks, inCalm), fault: within(acks, inFault) },
    delivery: { calm: within(deliveries, inCalm), fault: within(deliveries, inFault) },
  };
}
