/** Fills a city's database with rooms, history and members by SQL, as if all of it had been sent and joined. */
import pg from 'pg';

/** The id of the `i`th room of a filled city, counted from 0. */
export const roomId = (i: number) => `room_city_bench-${String(i).padStart(6, '0')}`;
/** The id of the `i`th member of a filled room, counted from 0. */
export const userId = (i: number) => `u_bench_${i}`;

/** Adds rooms until there are `count`. */
export async function fillRooms(client: pg.Client, count: number): Promise<void> {
  await client.query(
    `with numbered as (
       select i, 'bench-' || lpad(i::text, 6, '0') slug from generate_series(0, $1::int - 1) i
     ), made as (
       insert into city_rooms (id, slug, name) select 'room_city_' || slug, slug, 'Room ' || i from numbered
       on conflict do nothing returning id
     )
     insert into city_room_heads (room_id) select id from made`,
    [count],
  );
}

/** Makes the first `count` users members of the room `room`. */
export async function fillMembers(client: pg.Client, room: string, count: number): Promise<void> {
  await client.query(
    `insert into city_room_members (room_id, user_id)
     select $1, 'u_bench_' || i from generate_series(0, $2::int - 1) i on conflict do nothing`,
    [room, count],
  );
}

/** Filled messages come in turn to the rooms, as in a city where all rooms talk at once; their ids sort before real ones. */
const MESSAGES = `
  insert into city_room_messages (id, room_id, author_user_id, body, created_at, seq, change_seq, username, sender_id,
    client_id, sent_hash)
  select 'm_city_' || '00F' || lpad(g::text, 23, '0'), 'room_city_bench-' || lpad((g % $3)::text, 6, '0'), 'u_bench_' || g % 97,
    'message ' || g || ' of a city that has talked for a long time', now() - make_interval(secs => ($2 - g) / 1000.0),
    g / $3 + 1, g / $3 + 1, 'User ' || g % 97, 'u_bench_' || g % 97, 'c' || g, sha256(convert_to(g::text, 'UTF8'))
  from generate_series($1::bigint, $2::bigint - 1) g`;

const EVENTS = `
  insert into city_feed_events (id, kind, room_id, user_id, payload, created_at, message_id)
  select 'evt_city_' || '00F' || lpad(g::text, 23, '0'), 'room_message', 'room_city_bench-' || lpad((g % $3)::text, 6, '0'),
    'u_bench_' || g % 97,
    city_feed_payload('m_city_' || '00F' || lpad(g::text, 23, '0'),
      'message ' || g || ' of a city that has talked for a long time', 'User ' || g % 97),
    now() - make_interval(secs => ($2 - g) / 1000.0), 'm_city_' || '00F' || lpad(g::text, 23, '0')
  from generate_series($1::bigint, $2::bigint - 1) g`;

/** Rows in one statement. */
const CHUNK = 500_000;
/** From so many new rows on it is quicker to drop the indexes and to make them again. */
const REBUILD = 50_000;

/**
 * Brings the history of the first `rooms` rooms from `from` to `to` messages in all, with their feed events; the heads
 * follow. Ten million messages are about 13 GB and take a few minutes.
 */
export async function fillHistory(
  url: string,
  { rooms, from = 0, to }: { rooms: number; from?: number; to: number },
): Promise<void> {
  const fill = (table: string, insert: string) =>
    withClient(url, async (client) => {
      // Foreign keys are triggers: what is written here is known to have its room.
      await client.query(`set session_replication_role = replica; set synchronous_commit = off`);
      await client.query(`set maintenance_work_mem = '512MB'`);
      const indexes = to - from >= REBUILD ? await dropIndexes(client, table) : [];
      for (let first = from; first < to; first += CHUNK) {
        await client.query(insert, [first, Math.min(first + CHUNK, to), rooms]);
      }
      for (const definition of indexes) await client.query(definition);
      await client.query(`vacuum (analyze) ${table}`);
    });
  await Promise.all([fill('city_room_messages', MESSAGES), fill('city_feed_events', EVENTS)]);
  await withClient(url, async (client) => {
    await client.query(
      `update city_room_heads h set last_seq = m.n, last_change_seq = m.n, last_event_at = now()
       from (select 'room_city_bench-' || lpad((g % $2)::text, 6, '0') room_id, count(*) n
             from generate_series(0, $1::bigint - 1) g group by 1) m
       where m.room_id = h.room_id`,
      [to, rooms],
    );
    await client.query('vacuum (analyze) city_room_heads');
    await client.query('checkpoint');
  });
}

/** Drops the indexes of `table` that no constraint needs; the statements that make them again. */
async function dropIndexes(client: pg.Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `select i.indexname name, i.indexdef definition from pg_indexes i
     where i.tablename = $1 and not exists (select from pg_constraint c where c.conname = i.indexname)`,
    [table],
  );
  for (const { name } of rows) await client.query(`drop index ${name}`);
  return rows.map(({ definition }) => definition);
}

/** Runs `use` on a connection of its own. */
export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
