/**
 * (b) The server of the official Socket.IO tutorial, moved from SQLite to PostgreSQL and to rooms: one INSERT a message
 * with the client's id against repeats, then the emit, then the acknowledgement; a client that comes back names the
 * last id it has seen.
 */
import { Redis } from 'ioredis';
import pg from 'pg';
import { createIo, env, serve, userOf } from './common.ts';
import type { Message, Send, User } from './common.ts';
import { createRest, REST_SCHEMA } from './tutorial-rest.ts';

const SCHEMA = `
  select pg_advisory_xact_lock(1);
  create table if not exists rooms (
    id text primary key,
    name text not null,
    created_at timestamptz not null default now()
  );
  create table if not exists members (
    room_id text not null,
    user_id text not null,
    primary key (room_id, user_id)
  );
  create table if not exists messages (
    id bigserial primary key,
    client_id text unique,
    room_id text not null,
    user_id text not null,
    username text not null,
    body text not null,
    created_at timestamptz not null default now()
  );
  create index if not exists messages_room on messages (room_id, id);
`;

interface Row {
  id: string;
  client_id: string | null;
  room_id: string;
  user_id: string;
  username: string;
  body: string;
  created_at: Date;
}

const redis = new Redis(env('REDIS_URL'));
const pool = new pg.Pool({ connectionString: env('DATABASE_URL') });
const io = createIo(redis);
const rooms = io.of('/rooms');

const toMessage = (row: Row): Message => ({
  id: row.id,
  room_id: row.room_id,
  seq: Number(row.id),
  change_seq: Number(row.id),
  author_user_id: row.user_id,
  author_agent_id: null,
  username: row.username,
  body: row.body,
  client_id: row.client_id,
  created_at: row.created_at.toISOString(),
  edited_at: null,
  deleted_at: null,
});

async function insert(user: User, { room_id, body, client_id }: Send): Promise<Message | undefined> {
  const { rows } = await pool.query<Row>(
    `insert into messages (client_id, room_id, user_id, username, body) values ($1, $2, $3, $4, $5)
     on conflict (client_id) do nothing returning *`,
    [client_id ?? null, room_id, user.id, user.name, body],
  );
  return rows[0] && toMessage(rows[0]);
}

/** What came after `offset` in the rooms that the user is a member of. */
async function missed(user: User, offset: number): Promise<Message[]> {
  const { rows } = await pool.query<Row>(
    `select messages.* from messages join members on members.room_id = messages.room_id
     where members.user_id = $1 and messages.id > $2 order by messages.id`,
    [user.id, offset],
  );
  return rows.map(toMessage);
}

async function latest(roomId: string): Promise<Message[]> {
  const { rows } = await pool.query<Row>(
    'select * from messages where room_id = $1 order by id desc limit 50',
    [roomId],
  );
  return rows.reverse().map(toMessage);
}

type Ack = (answer: object) => void;
const refuse = (ack: Ack) => (error: Error) =>
  ack({ ok: false, error: { code: 'unavailable', message: error.message, retryable: true } });

rooms.on('connection', (socket) => {
  const user = userOf(socket);

  // The tutorial's recovery: whoever connects is sent what came after the offset in the handshake.
  const { serverOffset = 0 } = socket.handshake.auth as { serverOffset?: number };
  const recovered = missed(user, serverOffset).then(
    (messages) => {
      for (const message of messages) socket.emit('room.message', { room_id: message.room_id, message });
    },
    (error: Error) => console.error(error),
  );

  socket.on('room.join', ({ room_id }: { room_id: string }, ack: Ack) => {
    const join = async () => {
      await recovered; // or a message could come twice: recovered, and live
      await pool.query('insert into members (room_id, user_id) values ($1, $2) on conflict do nothing', [
        room_id,
        user.id,
      ]);
      await socket.join(room_id);
      const messages = await latest(room_id);
      const head = messages.at(-1)?.change_seq ?? 0;
      ack({ ok: true, data: { room: { id: room_id, last_change_seq: head }, messages, has_more: false } });
    };
    join().catch(refuse(ack));
  });

  socket.on('room.message.send', (send: Send, ack: Ack) => {
    insert(user, send).then((message) => {
      if (!message) return ack({ ok: true, data: { duplicate: true } });
      rooms.to(send.room_id).emit('room.message', { room_id: send.room_id, message });
      ack({ ok: true, data: { message, duplicate: false } });
    }, refuse(ack));
  });
});

await pool.query(SCHEMA + REST_SCHEMA);
const close = async () => {
  await pool.end();
  await redis.quit();
};
serve(io, close, createRest(pool, io));
