/** REST: how many room lists and room details a second one node answers, out of a city that has talked for a while. */
import { fillHistory, fillRooms, roomId, userId, withClient } from '../fill.ts';
import { startGenerator } from '../load/generator.ts';
import type { HttpLoad, HttpOptions } from '../load/http.ts';
import type { RunContext, RunResult, Scenario, Trial } from '../scenario.ts';
import type { Cluster, Cpu } from '../services.ts';

const SIZES = {
  full: { rooms: 100, messages: 20_000, users: 500, connections: 32, warmupMs: 2_000, measureMs: 5_000 },
  smoke: { rooms: 10, messages: 200, users: 20, connections: 4, warmupMs: 100, measureMs: 300 },
};
type Size = (typeof SIZES)['full'];

const LOAD = new URL('../load/http.ts', import.meta.url);

/** Every user is a member of every fifth room and has read half of it. */
const CITY_MEMBERS = `
  with pairs as (
    select 'u_bench_' || u user_id, 'room_city_bench-' || lpad(r::text, 6, '0') room_id
    from generate_series(0, $1::int - 1) u, generate_series(0, $2::int - 1) r where (u + r) % 5 = 0
  ), joined as (
    insert into city_room_members (room_id, user_id) select room_id, user_id from pairs
  )
  insert into city_read_marks (user_id, room_id, last_read_seq) select user_id, room_id, $3::int / $2 / 2 from pairs`;

/** The same city in the tables of the tutorial. */
const TUTORIAL = [
  `insert into rooms (id, name)
   select 'room_city_bench-' || lpad(r::text, 6, '0'), 'Room ' || r from generate_series(0, $2::int - 1) r, (select $1::int, $3::int)`,
  `insert into messages (client_id, room_id, user_id, username, body)
   select 'c' || g, 'room_city_bench-' || lpad((g % $2)::text, 6, '0'), 'u_bench_' || g % 97, 'User ' || g % 97,
     'message ' || g || ' of a city that has talked for a long time'
   from generate_series(0, $3::int - 1) g, (select $1::int)`,
  `with pairs as (
     select 'u_bench_' || u user_id, 'room_city_bench-' || lpad(r::text, 6, '0') room_id
     from generate_series(0, $1::int - 1) u, generate_series(0, $2::int - 1) r where (u + r) % 5 = 0
   ), joined as (
     insert into members (room_id, user_id) select room_id, user_id from pairs
   )
   insert into read_marks (user_id, room_id, last_read_id) select user_id, room_id, $3::int / 2 from pairs`,
];

async function fill({ server, databaseUrl }: Cluster, { rooms, messages, users }: Size): Promise<void> {
  const size = [users, rooms, messages];
  if (server === 'city') {
    await withClient(databaseUrl, (client) => fillRooms(client, rooms));
    await fillHistory(databaseUrl, { rooms, to: messages });
    await withClient(databaseUrl, async (client) => {
      await client.query(CITY_MEMBERS, size);
    });
  } else {
    await withClient(databaseUrl, async (client) => {
      for (const sql of TUTORIAL) await client.query(sql, size);
    });
  }
  await withClient(databaseUrl, (client) => client.query('vacuum (analyze)'));
}

/** What makes the answer wrong; undefined when it is as it should be. */
type Check = (body: unknown, size: Size) => string | undefined;

const checkList: Check = (body, { rooms }) =>
  Array.isArray(body) && body.length >= rooms ? undefined : 'the list does not have the rooms';

const checkDetail: Check = (body, { messages, rooms }) => {
  const { messages: last } = body as { messages: unknown[] };
  return last.length === Math.min(50, messages / rooms) ? undefined : 'the detail does not have the messages';
};

function trial(name: string, about: string, path: string, check: Check, atLeast: number): Trial {
  return {
    name,
    about,
    servers: ['tutorial', 'city'],
    figures: {
      requests_per_s: '/s',
      p50: 'ms',
      p99: 'ms',
      server_us: 'µs CPU a request',
      postgres_us: 'µs CPU a request',
      redis_us: 'µs CPU a request',
      body: 'bytes',
    },
    goals: [{ figure: 'requests_per_s', over: 'tutorial', atLeast }],
    async run({ server, size: scale, services }: RunContext): Promise<RunResult> {
      const size = SIZES[scale];
      const cluster = await services.start(server);
      try {
        await fill(cluster, size);
        const tokens = await Promise.all(
          Array.from({ length: size.users }, (_, i) => cluster.token(userId(i))),
        );
        const options: HttpOptions = {
          url: cluster.nodes[0]!.url,
          path,
          tokens,
          connections: size.connections,
        };
        const generator = await startGenerator<HttpLoad>(LOAD, options);
        await generator.call('run', size.warmupMs);
        const before = cluster.cpu();
        const result = await generator.call('run', size.measureMs);
        const after = cluster.cpu();
        await generator.stop();
        const each = (part: keyof Cpu) => ((after[part] - before[part]) * 1e6) / result.answered;
        const wrong = check(JSON.parse(result.sample || 'null'), size);
        return {
          figures: {
            requests_per_s: result.answered / result.seconds,
            p50: result.p50Us / 1000,
            p99: result.p99Us / 1000,
            server_us: each('nodes'),
            postgres_us: each('postgres'),
            redis_us: each('redis'),
            body: result.sample.length,
          },
          problems: [
            ...(result.failures > 0 ? [`${result.failures} answers were not 200`] : []),
            ...(wrong ? [wrong] : []),
            ...cluster.accidents(),
          ],
        };
      } finally {
        await cluster.stop();
      }
    },
  };
}

export const rest: Scenario = {
  name: 'rest',
  about:
    'room lists and room details a second of one node, 500 users in turn, 100 rooms with 20,000 messages',
  trials: [
    trial('list', 'GET /city/rooms', '/city/rooms', checkList, 10),
    trial('detail', 'GET /city/rooms/:room_id', `/city/rooms/${roomId(7)}`, checkDetail, 4),
  ],
};
