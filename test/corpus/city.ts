/** The city under fire: one real process, and a canary on another connection that sings after every case. */
import pg from 'pg';
import { freePort } from '../../dev/services/programs.ts';
import { createDatabase } from '../support/database.ts';
import { startProcess, untilReady } from '../support/processes.ts';
import { leaseRedis } from '../support/redis.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { forge, HOUR, now } from '../support/tokens.ts';
import { until } from '../support/until.ts';
import { startHostileAgents } from './agents.ts';

export const SECRET = 'a-secret-of-the-corpus-that-is-long-enough';
/** How long the canary may take over a message. */
const CANARY_MS = 5_000;
/** Whatever a refused input must leave no row in. */
const TABLES = [
  'city_rooms',
  'city_room_messages',
  'city_room_restrictions',
  'city_moderation_log',
  'city_reports',
  'secondme_invocations',
];

export type CorpusCity = Awaited<ReturnType<typeof startCorpusCity>>;

/** One thing that is sent to the city. */
export interface Case {
  name: string;
  /** What comes of it, as `send` tells it; or one of several. */
  expected: string | readonly string[];
  /** How many rows it makes; none where it is refused. */
  rows?: number;
  send(city: CorpusCity): Promise<string>;
}

/** A token made by hand: the claims, over those that make one good, and what it is signed with. */
export const tokenOf = (claims: object = {}, header?: object, secret = SECRET) =>
  forge({ sub: 'u_mallory', iat: now(), exp: now() + HOUR, ...claims }, secret, header);

/** Limits are on, as in production, and so wide that only the cases about them would meet one. */
const WIDE = Object.fromEntries(
  ['SEND', 'NEW_ROOM', 'JOIN', 'READ', 'TYPING', 'PRESENCE', 'INVOKE', 'CONNECT']
    .concat(['CONNECT_ADDRESS', 'REQUEST_ADDRESS', 'EVENT_ADDRESS', 'TOKEN_ADDRESS'])
    .map((name) => [`LIMIT_${name}`, '1000000']),
);

export async function startCorpusCity(env: Record<string, string> = {}) {
  const [database, redis, agents, port] = await Promise.all([
    createDatabase(),
    leaseRedis(),
    startHostileAgents(),
    freePort(),
  ]);
  const url = `http://127.0.0.1:${port}`;
  const city = startProcess({
    NODE_ENV: 'production',
    PORT: String(port),
    OPS_PORT: '0',
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    JWT_SECRET: SECRET,
    AGENTS_SERVICE_URL: agents.url,
    LOG_LEVEL: 'debug',
    ...WIDE,
    ...env,
  });
  const sql = new pg.Client({ connectionString: database.url });
  await Promise.all([untilReady(url, city), sql.connect()]);
  const { pid } = city.child;

  const canary = await connect(`${url}/rooms`, tokenOf({ sub: 'u_canary' }), { transports: ['websocket'] });
  await canary.call('room.join', { room_id: 'general' });

  /** Rows of TABLES. */
  const countRows = async () => {
    const counts = TABLES.map((table) => `(select count(*) from ${table})`).join(' + ');
    return Number((await sql.query<{ rows: string }>(`select ${counts} rows`)).rows[0]!.rows);
  };
  let rows = await countRows();
  let read = 0;

  /** Lines of the log since the last look that are no line of JSON, or that say that something failed. */
  const badLines = () => {
    const end = city.output().lastIndexOf('\n') + 1;
    const lines = city.output().slice(read, end).split('\n').filter(Boolean);
    read = end;
    return lines.filter((line) => {
      try {
        return ['error', 'fatal'].includes((JSON.parse(line) as { level: string }).level);
      } catch {
        return true;
      }
    });
  };

  return {
    port,
    url,
    agents,
    output: city.output,
    rest: createRest(url, tokenOf()),
    /** A socket of the attacker. */
    socket: (namespace = '/rooms') => connect(url + namespace, tokenOf(), { transports: ['websocket'] }),

    /** Resolves with what is wrong with the city after a case that may have made `made` rows; empty when all is well. */
    async harm(made: number): Promise<string[]> {
      const found: string[] = [];
      const { exitCode, signalCode } = city.child;
      if (exitCode !== null || signalCode !== null || city.child.pid !== pid) {
        return [`the process ended: ${exitCode ?? signalCode}\n${city.output().slice(-4_000)}`];
      }
      const extra = (await countRows()) - rows - made;
      if (extra !== 0) found.push(`${extra} rows more than expected`);
      const sung = canary.ack('room.message.send', { room_id: 'general', body: 'still here' });
      const answer = await Promise.race([sung, until(() => !canary.raw.connected, 'the end', CANARY_MS)]);
      if (answer?.ok) {
        const { id } = answer.data.message;
        const arrived = () => canary.of('room.message').some(({ message }) => message.id === id);
        await until(arrived, 'the song of the canary', CANARY_MS).catch((error) => found.push(String(error)));
        canary.events.length = 0;
      } else {
        found.push(`the canary: ${JSON.stringify(answer)}`);
      }
      rows = await countRows();
      return [...found, ...badLines()];
    },

    async stop(): Promise<{ code: number | null; bad: string[] }> {
      canary.close();
      city.child.kill('SIGTERM');
      const code = await city.exited;
      await sql.end();
      await Promise.all([database.drop(), redis.release(), agents.stop()]);
      return { code, bad: badLines() };
    },
  };
}
