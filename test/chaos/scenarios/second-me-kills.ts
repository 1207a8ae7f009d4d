/** Second Me effective once: workers are SIGKILLed at every moment of an invocation, and each key has one reply. */
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDb, rows } from '../../../src/platform/db.ts';
import type { Db } from '../../../src/platform/db.ts';
import { createLogger } from '../../../src/platform/logger.ts';
import { createRest } from '../../support/rest.ts';
import { until } from '../../support/until.ts';
import { startChaosCity } from '../city.ts';
import type { ChaosCity, Member } from '../city.ts';
import { createRandom } from '../random.ts';
import type { Scenario } from '../scenario.ts';

/** Usually 8 s; the machine of the smoke may stall beside it. */
const PICKED_UP_MS = { smoke: 15_000, full: 10_000 };
/** Prompts of one kill, each of another user, so that both workers have some. */
const PROMPTS = 4;
/** After so many kills everything is waited for: whoever three of them interrupt is poison by rights. */
const KILLS_IN_A_ROW = { smoke: 4, full: 2 };

interface Asked {
  /** The idempotency key, and the prompt. */
  key: string;
  user: string;
  id: string;
}

interface Row {
  id: string;
  idempotency_key: string;
  status: string;
  reply: string | null;
  fallback: boolean;
  crashes: number;
  replies: number;
  prompts: number;
}

interface Stage {
  city: ChaosCity;
  db: Db;
  redis: Redis;
  victim: Member;
  random: () => number;
  /** Sends the round's prompts; they are stored when it resolves. */
  ask(): Promise<Asked[]>;
}

/** Brings the victim to a moment and resolves with the invocations that its death, which is due now, interrupts. */
type Moment = (stage: Stage) => Promise<Asked[]>;

const statusOf = async (db: Db, asked: Asked[]) => {
  const found = await rows<{ id: string; status: string }>(
    db,
    'select id, status from secondme_invocations where id = any(?)',
    [asked.map(({ id }) => id)],
  );
  return new Map(found.map(({ id, status }) => [id, status]));
};

/** Those of `asked` whose call came through the victim's line to Agents Core and is open. */
const heldBy = ({ city, victim }: Stage, asked: Asked[]) =>
  asked.filter(({ id }) =>
    city.agents.held().some(({ key, host }) => key === id && host.endsWith(`:${victim.edges.agents.port}`)),
  );

/** Asks until something of what was asked is in the wanted state, since the other worker may take all of it. */
async function askUntil(stage: Stage, look: (asked: Asked[]) => Promise<Asked[] | 'missed' | undefined>) {
  for (;;) {
    const asked = await stage.ask();
    const found = await until(() => look(asked), 'the victim is at the moment', 20_000);
    if (found !== 'missed') return found;
  }
}

/** Waits until all of `asked` are held and the victim has one of them. */
const untilHeld = (stage: Stage) =>
  askUntil(stage, async (asked) => {
    const held = new Set(stage.city.agents.held().map(({ key }) => key));
    if (!asked.every(({ id }) => held.has(id))) return undefined;
    const own = heldBy(stage, asked);
    return own.length > 0 ? own : 'missed';
  });

const MOMENTS: Record<string, Moment> = {
  /** It has taken the job and its claim has not reached the database. */
  'before the claim': (stage) => {
    stage.victim.edges.postgres.blackhole('to_service');
    return askUntil(stage, async (asked) => {
      const active = await stage.redis.lrange('city:secondme.invoke:active', 0, -1);
      const status = await statusOf(stage.db, asked);
      if (asked.every(({ id }) => status.get(id) === 'succeeded')) return 'missed';
      const left = asked.filter(({ id }) => status.get(id) !== 'succeeded');
      const stuck = left.every(({ id }) => active.includes(id) && status.get(id) === 'queued');
      return stuck ? left : undefined;
    });
  },

  /** Its claim is committed, and it does not know yet. */
  'before the call': (stage) => {
    stage.victim.edges.postgres.delay(150);
    return askUntil(stage, async (asked) => {
      const status = await statusOf(stage.db, asked);
      if (asked.every(({ id }) => status.get(id) === 'succeeded')) return 'missed';
      // The other worker's are past this moment within milliseconds.
      const left = asked.filter(({ id }) => status.get(id) !== 'succeeded');
      const claimed = left.filter(
        ({ id }) => status.get(id) === 'running' && stage.city.agents.calls(id) === 0,
      );
      return claimed.length === left.length ? claimed : undefined;
    });
  },

  'during the call': (stage) => {
    holdRound(stage);
    return untilHeld(stage);
  },

  /** It has the reply, and cannot store it. */
  'before the commit': async (stage) => {
    holdRound(stage);
    const own = await untilHeld(stage);
    stage.victim.edges.postgres.blackhole('to_service');
    await stage.city.agents.release();
    await sleep(20 + stage.random() * 200);
    return own;
  },

  /** The end is committed, and it does not know yet. */
  'after the commit': async (stage) => {
    holdRound(stage);
    const own = await untilHeld(stage);
    stage.victim.edges.postgres.delay(40);
    await stage.city.agents.release();
    await until(async () => {
      const status = await statusOf(stage.db, own);
      return [...status.values()].includes('succeeded');
    }, 'the commit arrives');
    return [];
  },

  /** Wherever it happens to be. */
  'at a random moment': async (stage) => {
    await stage.ask();
    await sleep(stage.random() * 60);
    return [];
  },
};
const SMOKE = ['before the call', 'during the call', 'before the commit', 'after the commit'];

/**
 * Those whose end the victim had sent when it was killed, and which arrived when its line let it through: an end is
 * one message. Nobody had to pick them up, so their first attempt is the one that succeeded.
 */
async function storedByTheDead(db: Db, interrupted: { asked: Asked; moment: string }[]) {
  const sent = interrupted.filter(({ moment }) => moment === 'before the commit');
  const found = await rows<{ id: string }>(
    db,
    `select id from secondme_invocations where id = any(?) and status = 'succeeded' and attempt = 1`,
    [sent.map(({ asked }) => asked.id)],
  );
  return new Set(found.map(({ id }) => id));
}

/** Holds the calls of this round; those of earlier ones are answered. */
function holdRound({ city }: Stage): void {
  const before = new Set(city.agents.log().map(({ key }) => key));
  city.agents.mode(({ key }) => (before.has(key) ? 'ok' : 'hang'));
}

/** What is wrong with the rows of `asked`, which have all finished. */
function judge({ agents }: ChaosCity, asked: Asked[], found: Row[]): string[] {
  const problems: string[] = [];
  for (const { key } of asked) {
    const own = found.filter((row) => row.idempotency_key === key);
    const [row] = own;
    const wrong = (what: string) => problems.push(`${key} (${row?.id}): ${what}`);
    if (!row || own.length > 1) wrong(`${own.length} invocations`);
    else {
      const calls = agents.calls(row.id);
      if (row.status !== 'succeeded' || row.fallback) wrong(`${row.status}, fallback ${row.fallback}`);
      if (row.reply !== `Echo: ${key}`) wrong(`its reply is ${row.reply}`);
      if (row.replies !== 1 || row.prompts !== 1) wrong(`${row.replies} replies to ${row.prompts} prompts`);
      if (calls < 1 || calls > 1 + row.crashes) wrong(`${calls} calls, ${row.crashes} lost workers`);
    }
  }
  return problems;
}

export const secondMeKills: Scenario = {
  name: 'second-me-kills',
  promise: 'a worker killed at any moment of an invocation: one recorded reply a key, picked up within 10 s',
  async run({ size, log }) {
    const kills = size === 'full' ? 50 : SMOKE.length;
    const moments = size === 'full' ? Object.keys(MOMENTS) : SMOKE;
    const random = createRandom(1);
    const city = await startChaosCity({ nodes: 1, workers: 2 });
    const db = createDb(city.databaseUrl, createLogger('silent'));
    const redis = new Redis(city.redisUrl);
    const everything: Asked[] = [];
    const problems: string[] = [];
    const pickUps: number[] = [];
    const struck = new Map<string, number>();
    let waiting: { asked: Asked; killedAt: number; moment: string; calls: number }[] = [];

    const ask = async (): Promise<Asked[]> => {
      const round = await Promise.all(
        Array.from({ length: PROMPTS }, async (_, n) => {
          const key = `prompt-${everything.length + n}`;
          const user = `u_${key}`;
          const rest = createRest(city.nodes[0]!.url, await city.token(user));
          const headers = { 'Idempotency-Key': key, Prefer: 'respond-async' };
          const { body } = await rest('POST', '/secondme/invoke', { prompt: key }, headers);
          return { key, user, id: body.invocation_id as string };
        }),
      );
      everything.push(...round);
      return round;
    };
    /** Waits until everything asked so far has finished, and takes the time of each pick-up. */
    const settle = async () => {
      city.agents.mode('ok');
      await city.agents.release();
      const left = async () =>
        rows<{ id: string; status: string }>(
          db,
          `select id, status from secondme_invocations where finished_at is null`,
        );
      await until(async () => (await left()).length === 0, 'everything finishes', 60_000).catch(async () => {
        for (const { id, status } of await left()) problems.push(`${id} is ${status} after a minute`);
      });
      const unneeded = await storedByTheDead(db, waiting);
      for (const { asked, killedAt, moment, calls } of waiting) {
        if (unneeded.has(asked.id)) continue;
        const next = city.agents.log().filter(({ key }) => key === asked.id)[calls];
        const ms = next ? Math.round(next.at - killedAt) : Infinity;
        pickUps.push(ms);
        if (ms > PICKED_UP_MS[size]) problems.push(`${asked.id}: picked up after ${ms} ms, killed ${moment}`);
      }
      waiting = [];
    };

    try {
      for (let n = 0; n < kills; n++) {
        const moment = moments[n % moments.length]!;
        const victim = city.workers[n % 2]!;
        const interrupted = await MOMENTS[moment]!({ city, db, redis, victim, random, ask });
        const calls = interrupted.map(({ id }) => city.agents.calls(id));
        const killedAt = performance.now();
        await victim.kill('SIGKILL');
        interrupted.forEach((asked, i) => waiting.push({ asked, killedAt, moment, calls: calls[i]! }));
        struck.set(moment, (struck.get(moment) ?? 0) + 1);
        log(`kill ${n + 1} of ${victim.name} ${moment}: ${interrupted.length} interrupted`);
        city.agents.mode('ok');
        await city.agents.release();
        victim.edges.postgres.pass();
        await victim.start();
        if ((n + 1) % KILLS_IN_A_ROW[size] === 0 || n + 1 === kills) await settle();
      }
      const found = await rows<Row>(
        db,
        `select i.id, idempotency_key, status, reply, fallback, crashes,
           (select count(*) from secondme_messages m where m.invocation_id = i.id and role = 'assistant') replies,
           (select count(*) from secondme_messages m where m.invocation_id = i.id and role = 'user') prompts
         from secondme_invocations i`,
      );
      problems.push(...judge(city, everything, found));
      for (const { key, user, id } of everything) {
        const rest = createRest(city.nodes[0]!.url, await city.token(user));
        const again = await rest('POST', '/secondme/invoke', { prompt: key }, { 'Idempotency-Key': key });
        if (again.body.invocation_id !== id || again.body.reply !== `Echo: ${key}`) {
          problems.push(`${key} asked again: ${again.status} ${JSON.stringify(again.body)}`);
        }
      }
      problems.push(...city.accidents());
      const repeated = found.filter(({ id }) => city.agents.calls(id) > 1).length;
      const figures = {
        kills,
        keys: everything.length,
        interrupted: pickUps.length,
        'called twice': repeated,
        'picked up, median ms': pickUps.sort((a, b) => a - b)[pickUps.length >> 1] ?? 0,
        'picked up, max ms': pickUps.at(-1) ?? 0,
      };
      return { figures: { ...figures, ...Object.fromEntries(struck) }, problems };
    } finally {
      redis.disconnect();
      await db.destroy();
      await city.stop();
    }
  },
};
