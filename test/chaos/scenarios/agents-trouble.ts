/**
 * Agents Core in every kind of trouble, and the chat that must not notice: the latency of a message's acknowledgement,
 * in turns with an agent that is well and one that is not, so that the machine's own moods cancel out. What looks like an
 * effect is measured again, and is one if it is there again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createDb, rows } from '../../../src/platform/db.ts';
import type { Db } from '../../../src/platform/db.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRest } from '../../support/rest.ts';
import { connect } from '../../support/sockets.ts';
import type { TestSocket } from '../../support/sockets.ts';
import { until } from '../../support/until.ts';
import type { AgentsMode } from '../agents.ts';
import { startChaosCity } from '../city.ts';
import type { ChaosCity } from '../city.ts';
import type { Scenario } from '../scenario.ts';

const TROUBLES: AgentsMode[] = ['hang', 'slow', 'huge', 'garbage', 'error', 'reset'];
const CHATTERS = 10;
/** Messages of each chatter, and prompts of all citizens, a second. */
const MESSAGES_HZ = 10;
const PROMPTS_HZ = 10;
const CITIZENS = 200;
/** The contract gives a call 30 s; the rest is for queueing and storing. */
const TOLD_MAX_MS = 35_000;
/** A ratio of 1 means that nobody notices; the promise is ±20 %. The smoke has too few samples to judge one. */
const SIZES = {
  smoke: { windowMs: 1_000, rounds: 1, ratioMax: Infinity, recovers: false },
  full: { windowMs: 10_000, rounds: 3, ratioMax: 1.2, recovers: true },
};
/** A ratio of times below this is noise of the clock and the scheduler, milliseconds. */
const NEGLIGIBLE_MS = 5;

const percentile = (values: number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * share) - 1] ?? NaN;

/** One message after the other at its rhythm, each timed to its acknowledgement; `window` collects what begins in it. */
function startChat(sockets: TestSocket[], problems: string[]) {
  let current: number[] | undefined;
  let stopped = false;
  const chats = sockets.map(async (socket, n) => {
    await sleep((n * 1000) / MESSAGES_HZ / sockets.length);
    for (let due = performance.now(); !stopped; due += 1000 / MESSAGES_HZ) {
      await sleep(Math.max(0, due - performance.now()));
      const samples = current;
      const began = performance.now();
      const answer = await socket.ack('room.message.send', { room_id: 'general', body: 'hello' });
      samples?.push(performance.now() - began);
      if (!answer.ok) problems.push(`chat: ${JSON.stringify(answer.error)}`);
    }
  });
  return {
    async window(ms: number): Promise<number[]> {
      const samples: number[] = [];
      current = samples;
      await sleep(ms);
      current = undefined;
      return samples;
    },
    async stop() {
      stopped = true;
      await Promise.all(chats);
    },
  };
}

/** Citizens ask their Second Me at a steady rate; 429 is a fair answer once their places are taken. */
function startAsking(city: ChaosCity, problems: string[]) {
  let stopped = false;
  const asked: Promise<void>[] = [];
  const ask = async (n: number) => {
    const rest = createRest(city.nodes[n % city.nodes.length]!.url, await city.token(`u_${n % CITIZENS}`));
    const { status } = await rest(
      'POST',
      '/secondme/invoke',
      { prompt: `${n}` },
      { Prefer: 'respond-async' },
    );
    if (status !== 202 && status !== 429) problems.push(`prompt ${n} was answered ${status}`);
  };
  const asking = (async () => {
    for (let n = 0; !stopped; n++) {
      asked.push(ask(n).catch((error: unknown) => void problems.push(`prompt ${n}: ${String(error)}`)));
      await sleep(1000 / PROMPTS_HZ);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await asking;
      await Promise.all(asked);
    },
  };
}

/** Waits until the circuit is closed again: somebody gets a reply that is no fallback. */
async function untilWell(db: Db): Promise<void> {
  const [now] = await rows<{ now: string }>(db, 'select clock_timestamp() now');
  const replied = () =>
    rows(
      db,
      `select 1 from secondme_invocations where status = 'succeeded' and not fallback and finished_at > ? limit 1`,
      [now!.now],
    );
  await until(async () => (await replied()).length > 0, 'the agent is asked again', 60_000);
}

type Windows = Map<AgentsMode, number[][]>;

/**
 * Latencies beside each trouble over those beside an agent that is well, and the troubles for which they are larger.
 * Every window has its own percentile and the median of these counts: one stall of the machine spoils the window it
 * falls into, where among all samples thirty slow messages in one burst would be the p99 of a minute.
 */
function compare(windows: Windows, rounds: number, ratioMax: number) {
  const well = windows.get('ok')!;
  const figures: Record<string, string> = {};
  const slower = new Map<AgentsMode, string>();
  for (const [name, share] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    const median = (some: number[][]) =>
      percentile(
        some.map((window) => percentile(window, share)),
        0.5,
      );
    const level = (some: number[][]) => Math.max(median(some), NEGLIGIBLE_MS);
    // As many windows as a trouble has, from those of an agent that is well: what the machine cannot tell apart.
    const groups = well.slice(rounds - 1).map((_, n) => well.slice(n, n + rounds));
    const noise = Math.max(...groups.map(level)) / level(well);
    figures[`${name}, noise`] = noise.toFixed(2);
    for (const [mode, some] of windows) {
      const ratio = level(some) / level(well);
      figures[`${mode}: ${name}, ms and ratio`] =
        `${median(some).toFixed(1)} / ${ratio.toFixed(2)} (${some.flat().length})`;
      if (mode !== 'ok' && ratio > ratioMax * noise) slower.set(mode, `${name} ${ratio.toFixed(2)} times`);
    }
  }
  return { figures, slower };
}

export const agentsTrouble: Scenario = {
  name: 'agents-trouble',
  promise:
    "Agents Core hanging, slow, huge, garbage, 5xx or reset: chat's p99 unchanged ±20 %, users told within 35 s",
  async run({ size, log }) {
    const { windowMs, rounds, ratioMax, recovers } = SIZES[size];
    const city = await startChaosCity({ nodes: 2, workers: 2 });
    const db = createDb(city.databaseUrl, createLogger('silent'));
    const problems: string[] = [];
    const figures: Record<string, number | string> = {};
    const sockets: TestSocket[] = [];
    try {
      for (let n = 0; n < CHATTERS; n++) {
        const { url } = city.nodes[n % city.nodes.length]!;
        sockets.push(await connect(`${url}/rooms`, await city.token(`u_chatter_${n}`)));
        await sockets[n]!.call('room.join', { room_id: 'general' });
        // Half a million messages, if kept: the garbage collector of this process would be what chat waits for.
        sockets[n]!.raw.offAny();
      }
      const chat = startChat(sockets, problems);
      const asking = startAsking(city, problems);
      await chat.window(Math.min(windowMs, 3_000)); // warms up

      /** The windows of each of `troubles`, and those of an agent that is well. */
      const measure = async (troubles: AgentsMode[]) => {
        const windows: Windows = new Map();
        const keep = (mode: AgentsMode, window: number[]) =>
          void windows.set(mode, [...(windows.get(mode) ?? []), window]);
        for (let round = 0; round < rounds; round++) {
          keep('ok', await chat.window(windowMs));
          for (const trouble of troubles) {
            city.agents.mode(trouble);
            const bad = await chat.window(windowMs);
            city.agents.mode('ok');
            await city.agents.release();
            if (recovers) await untilWell(db);
            const after = await chat.window(windowMs);
            keep(trouble, bad);
            keep('ok', after);
            log(
              `${trouble}: p99 ${percentile(bad, 0.99).toFixed(1)} ms, after it ${percentile(after, 0.99).toFixed(1)} ms`,
            );
          }
        }
        return windows;
      };
      const first = compare(await measure(TROUBLES), rounds, ratioMax);
      Object.assign(figures, first.figures);
      const suspects = TROUBLES.filter((mode) => first.slower.has(mode));
      if (suspects.length > 0) {
        const second = compare(await measure(suspects), rounds, ratioMax);
        for (const [name, figure] of Object.entries(second.figures)) figures[`again, ${name}`] = figure;
        for (const [mode, again] of second.slower) {
          const times = `${first.slower.get(mode)}, again ${again}`;
          problems.push(`${mode}: chat is slower than beside an agent that is well: ${times}`);
        }
      }
      await asking.stop();
      await chat.stop();

      const none = async () =>
        (await rows(db, 'select 1 from secondme_invocations where finished_at is null limit 1')).length === 0;
      await until(none, 'everybody is told', 60_000).catch((error: unknown) => problems.push(String(error)));
      const [told] = await rows<{ longest: number; fallbacks: number; total: number; failed: number }>(
        db,
        `select max(extract(epoch from finished_at - created_at) * 1000)::float longest, count(*) total,
           count(*) filter (where fallback) fallbacks, count(*) filter (where status <> 'succeeded') failed
         from secondme_invocations`,
      );
      figures['prompts / fallbacks'] = `${told!.total} / ${told!.fallbacks}`;
      figures['told, max ms'] = Math.round(told!.longest);
      if (told!.longest > TOLD_MAX_MS)
        problems.push(`somebody was told after ${Math.round(told!.longest)} ms`);
      if (told!.failed > 0) problems.push(`${told!.failed} prompts ended without a reply`);
      problems.push(...city.accidents());
      return { figures, problems };
    } finally {
      for (const socket of sockets) socket.close();
      await db.destroy();
      await city.stop();
    }
  },
};
