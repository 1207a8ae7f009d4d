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

/**
 * Filled messages come in turn to the rooms, as in a city where all rooms talk at once, and go on with the numbers of
 * their rooms. $1 and $2 are the first and the one after the last, $3 the rooms, $4 the first of this filling.
 */
const FILLED = `
  from generate_series($1::bigint, $2::bigint - 1) g
  join city_room_heads h on h.room_id = 'room_city_bench-' || lpad((g % $3)::text, 6, '0')`;
const ID = `'00F' || lpad(g::text, 23, '0')`; // sorts before those of now
const BODY = `'message ' || g || ' of a city that has talked for a long time'`;
const SENT_AT = `now() - make_interval(secs => ($2 - g) / 1000.0)`;
const NUMBER = `h.last_seq + (g - $4) / $3 + 1`;
const CHANGE = `h.last_change_seq + (g - $4) / $3 + 1`;

const MESSAGES = `
  insert into city_room_messages (id, room_id, author_user_id, body, created_at, seq, change_seq, username, sender_id,
    client_id, sent_hash)
  select 'm_city_' || ${ID}, h.room_id, 'u_bench_' || g % 97, ${BODY}, ${SENT_AT}, ${NUMBER}, ${CHANGE},
    'User ' || g % 97, 'u_bench_' || g % 97, 'c' || g, sha256(convert_to(g::text, 'UTF8'))
  ${FILLED} order by g`;

/** Rows in one statement. */
const CHUNK = 500_000;
/** From so many new rows on it is quicker to drop the indexes and to make them again. */
const REBUILD = 50_000;

/**
 * Adds the messages `from` to `to` − 1 to the first `rooms` rooms; the heads follow. No node may have one of the
 * rooms open. Ten million messages take a few minutes.
 */
export async function fillHistory(
  url: string,
  { rooms, from = 0, to }: { rooms: number; from?: number; to: number },
): Promise<void> {
  await withClient(url, async (client) => {
    // Foreign keys are triggers: what is written here is known to have its room.
    await client.query(`set session_replication_role = replica; set synchronous_commit = off`);
    await client.query(`set maintenance_work_mem = '512MB'`);
    const indexes = to - from >= REBUILD ? await dropIndexes(client, 'city_room_messages') : [];
    for (let first = from; first < to; first += CHUNK) {
      await client.query(MESSAGES, [first, Math.min(first + CHUNK, to), rooms, from]);
    }
    for (const definition of indexes) await client.query(definition);
    await client.query('vacuum (analyze) city_room_messages');
  });
  await withClient(url, async (client) => {
    await client.query(
      `update city_room_heads h
       set last_seq = h.last_seq + m.n, last_change_seq = h.last_change_seq + m.n, last_event_at = now()
       from (select 'room_city_bench-' || lpad((g % $3)::text, 6, '0') room_id, count(*) n
             from generate_series($1::bigint, $2::bigint - 1) g group by 1) m
       where m.room_id = h.room_id`,
      [from, to, rooms],
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
