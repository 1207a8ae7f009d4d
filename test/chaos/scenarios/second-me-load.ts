/** Second Me under load: a prompt that kills its workers, one user's flood, and a Redis that forgets everything. */
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDb, rows } from '../../../src/platform/db.ts';
import type { Db } from '../../../src/platform/db.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRest } from '../../support/rest.ts';
import type { RestAnswer } from '../../support/rest.ts';
import { until } from '../../support/until.ts';
import { startChaosCity } from '../city.ts';
import type { ChaosCity } from '../city.ts';
import type { Scenario } from '../scenario.ts';

const SIZES = {
  smoke: { flood: 1_500, queued: 200, neighbours: 10 },
  full: { flood: 10_000, queued: 200, neighbours: 40 },
};
const FLOOD_PARALLEL = 200;
const OTHERS_EVERY_MS = 100;
const START_MAX_MS = 5_000;
/** Both workers together run so many calls at once (src/jobs.ts). */
const PLACES = 100;
const KILLS_MAX = 3;

interface Stage {
  city: ChaosCity;
  db: Db;
  figures: Record<string, number | string>;
  problems: string[];
  scale: (typeof SIZES)['full'];
  /** Stores a prompt over REST, through one node after the other. */
  ask(user: string, prompt: string): Promise<RestAnswer>;
}

const percentile = (values: number[], share: number) =>
  Math.round(values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? 0);

const unfinished = (db: Db) =>
  rows<{ id: string; status: string }>(
    db,
    'select id, status from secondme_invocations where finished_at is null',
  );

async function untilAllFinish({ db, problems }: Stage, what: string): Promise<void> {
  const none = async () => (await unfinished(db)).length === 0;
  await until(none, `${what}: everything finishes`, 60_000).catch(async () => {
    for (const { id, status } of await unfinished(db)) problems.push(`${what}: ${id} is still ${status}`);
  });
}

/** One user asks for everything there is, and the agent keeps every one of those calls; others ask now and then. */
async function flood(stage: Stage): Promise<void> {
  const { city, db, figures, problems, scale, ask } = stage;
  city.agents.mode(({ userId }) => (userId === 'u_flood' ? 'hang' : 'ok'));
  const statuses = new Map<number, number>();
  let left = scale.flood;
  const push = async () => {
    while (left-- > 0) {
      const { status } = await ask('u_flood', 'me first');
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  const began = performance.now();
  let flooding = true;
  const flooded = Promise.all(Array.from({ length: FLOOD_PARALLEL }, push)).finally(() => (flooding = false));

  const asked: { id: string; at: number }[] = [];
  const other = async (user: string) => {
    const at = performance.now();
    const { status, body } = await ask(user, 'me too');
    if (status === 202) asked.push({ id: body.invocation_id, at });
    else problems.push(`flood: ${user} was answered ${status} ${JSON.stringify(body)}`);
  };
  const others: Promise<void>[] = [];
  for (let n = 0; flooding || n < 10; n++) {
    others.push(other(`u_other_${n}`));
    await sleep(OTHERS_EVERY_MS);
  }
  await Promise.all([flooded, ...others]);
  figures['flood: prompts'] = scale.flood;
  figures['flood: prompts/s'] = Math.round(scale.flood / ((performance.now() - began) / 1000));
  figures['flood: accepted'] = statuses.get(202) ?? 0;
  figures['flood: 429'] = statuses.get(429) ?? 0;
  for (const [status, count] of statuses) {
    if (status !== 202 && status !== 429) problems.push(`flood: ${count} answers ${status}`);
  }
  const [own] = await rows<{ stored: number; unfinished: number }>(
    db,
    `select count(*) stored, count(*) filter (where finished_at is null) unfinished
     from secondme_invocations where user_id = 'u_flood'`,
  );
  // Two run and ten wait; the agent keeps the two until their time is up, and then two more are taken in.
  if (own!.unfinished !== 12 || own!.stored !== statuses.get(202)) {
    problems.push(
      `flood: ${own!.unfinished} unfinished, ${own!.stored} stored, ${statuses.get(202)} accepted`,
    );
  }

  await until(() => asked.every(({ id }) => city.agents.calls(id) > 0), 'all others start', 60_000);
  const starts = asked.map(({ id, at }) => city.agents.log().find(({ key }) => key === id)!.at - at);
  figures['flood: others'] = starts.length;
  figures['flood: start p50 ms'] = percentile(starts, 0.5);
  figures['flood: start p99 ms'] = percentile(starts, 0.99);
  figures['flood: start max ms'] = percentile(starts, 1);
  starts.forEach((ms, n) => {
    if (ms > START_MAX_MS) problems.push(`flood: ${asked[n]!.id} started after ${Math.round(ms)} ms`);
  });
  city.agents.mode('ok');
  await city.agents.release();
  await untilAllFinish(stage, 'flood');
  await db.raw('truncate secondme_invocations, secondme_messages, secondme_sessions');
}

/** Every place is taken and so many wait; Redis forgets them all. */
async function forget(stage: Stage): Promise<void> {
  const { city, db, figures, problems, scale, ask } = stage;
  city.agents.mode('hang');
  const ids: string[] = [];
  for (let n = 0; n < PLACES + scale.queued; n++) {
    const { status, body } = await ask(`u_forgotten_${n}`, 'remember me');
    if (status === 202) ids.push(body.invocation_id);
    else problems.push(`FLUSHALL: prompt ${n} was answered ${status}`);
  }
  await until(() => city.agents.held().length === PLACES, 'every place is taken', 20_000);
  const redis = new Redis(city.redisUrl);
  await redis.flushall();
  redis.disconnect();
  const waiting = (await unfinished(db)).filter(({ status }) => status === 'queued').length;
  figures['FLUSHALL: queued'] = waiting;
  if (waiting < scale.queued) problems.push(`FLUSHALL: only ${waiting} were queued`);
  const began = performance.now();
  city.agents.mode('ok');
  await city.agents.release();
  await untilAllFinish(stage, 'FLUSHALL');
  figures['FLUSHALL: all done after ms'] = Math.round(performance.now() - began);
  const found = await rows<{ id: string; status: string; fallback: boolean; replies: number }>(
    db,
    `select id, status, fallback,
       (select count(*) from secondme_messages m where m.invocation_id = i.id and role = 'assistant') replies
     from secondme_invocations i`,
  );
  for (const { id, status, fallback, replies } of found) {
    const calls = city.agents.calls(id);
    if (status === 'succeeded' && !fallback && replies === 1 && calls === 1) continue;
    problems.push(`FLUSHALL: ${id} ${status}, fallback ${fallback}, ${replies} replies, ${calls} calls`);
  }
  if (found.length !== ids.length) problems.push(`FLUSHALL: ${found.length} rows for ${ids.length} prompts`);
}

/**
 * A prompt whose call costs its worker the life, among neighbours whose calls last until it has happened twice: some of
 * them die with it both times.
 */
async function poison(stage: Stage): Promise<void> {
  const { city, db, figures, problems, scale, ask } = stage;
  city.agents.mode('hang');
  const neighbours: string[] = [];
  for (let n = 0; n < scale.neighbours; n++) {
    neighbours.push((await ask(`u_neighbour_${n}`, 'good day')).body.invocation_id);
  }
  await until(() => city.agents.held().length === scale.neighbours, 'the neighbours are called');
  const id: string = (await ask('u_poison', 'poison')).body.invocation_id;
  const began = performance.now();
  const rowOf = async () =>
    (
      await rows<{ status: string; died_at: string | null }>(
        db,
        'select status, died_at from secondme_invocations where id = ?',
        [id],
      )
    )[0]!;

  let kills = 0;
  const dead = async () => {
    const call = city.agents.held().find(({ key }) => key === id);
    const owner = call && city.workers.find(({ edges }) => call.host.endsWith(`:${edges.agents.port}`));
    if (!owner) return (await rowOf()).died_at !== null;
    kills++;
    await owner.kill('SIGKILL');
    if (kills === 2) city.agents.mode((call) => (call.key === id ? 'hang' : 'ok'));
    await owner.start();
    return kills > KILLS_MAX;
  };
  await until(dead, 'the poison is dead', 90_000);
  figures['poison: kills'] = kills;
  figures['poison: dead after ms'] = Math.round(performance.now() - began);
  if (kills > KILLS_MAX) problems.push(`poison: it has cost more than ${KILLS_MAX} workers`);

  city.agents.mode('ok');
  await city.agents.release();
  await untilAllFinish(stage, 'poison');
  const strays = await rows<{ id: string; status: string; error: string | null; crashes: number }>(
    db,
    `select id, status, error, crashes from secondme_invocations
     where id = any(?) and (status <> 'succeeded' or fallback)`,
    [neighbours],
  );
  figures['poison: neighbours'] = neighbours.length;
  for (const { id, status, error, crashes } of strays) {
    problems.push(`poison: the neighbour ${id} ended ${status}, ${error}, after ${crashes} lost workers`);
  }

  const ops = createRest(city.workers[0]!.opsUrl, undefined);
  const listed = async () =>
    ((await ops('GET', '/second-me/dead')).body.dead as { invocation_id: string }[]).map(
      ({ invocation_id }) => invocation_id,
    );
  if ((await rowOf()).status !== 'failed') problems.push(`poison: it is ${(await rowOf()).status}`);
  if (!(await listed()).includes(id)) problems.push(`poison: ${id} is not among the dead`);
  const requeued = await ops('POST', `/second-me/dead/${id}/requeue`);
  if (requeued.status !== 200) problems.push(`poison: the requeue was answered ${requeued.status}`);
  await untilAllFinish(stage, 'requeue');
  const { status } = await rowOf();
  if (status !== 'succeeded') problems.push(`poison: requeued, it ended ${status}`);
  if ((await listed()).includes(id)) problems.push('poison: requeued, it is still among the dead');
  const replies = await rows(
    db,
    `select 1 from secondme_messages where invocation_id = ? and role = 'assistant'`,
    [id],
  );
  if (replies.length !== 1) problems.push(`poison: requeued, it has ${replies.length} replies`);
}

export const secondMeLoad: Scenario = {
  name: 'second-me-load',
  promise:
    'a poison prompt costs three workers at most, nobody else their turn; a flood and FLUSHALL neither',
  async run({ size, log }) {
    const city = await startChaosCity({ nodes: 2, workers: 2 });
    const db = createDb(city.databaseUrl, createLogger('silent'));
    const figures: Stage['figures'] = {};
    const problems: string[] = [];
    const tokens = new Map<string, Promise<string>>();
    let turn = 0;
    const ask = async (user: string, prompt: string) => {
      if (!tokens.has(user)) tokens.set(user, city.token(user));
      const rest = createRest(city.nodes[turn++ % city.nodes.length]!.url, await tokens.get(user));
      return rest('POST', '/secondme/invoke', { prompt }, { Prefer: 'respond-async' });
    };
    const stage = { city, db, figures, problems, scale: SIZES[size], ask };
    try {
      for (const part of [flood, forget, poison]) {
        await part(stage).catch((error: unknown) => problems.push(`${part.name}: ${String(error)}`));
        log(`${part.name} ${JSON.stringify(figures)}`);
      }
      problems.push(...city.accidents());
      return { figures, problems };
    } finally {
      await db.destroy();
      await city.stop();
    }
  },
};
