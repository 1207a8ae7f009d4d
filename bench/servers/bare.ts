/** (a) Socket.IO with the Redis adapter and a JWT handshake, and nothing else: what is not delivered is lost. */
import { Redis } from 'ioredis';
import { randomUUID } from 'node:crypto';
import { createIo, env, serve, userOf } from './common.ts';
import type { Message, Send } from './common.ts';
import { servePresence } from './presence.ts';

const redis = new Redis(env('REDIS_URL'));
const io = createIo(redis);
const rooms = io.of('/rooms');

/** Stands where the number of a message stands; of this node alone, so it says nothing. */
let count = 0;

rooms.on('connection', (socket) => {
  const user = userOf(socket);

  socket.on('room.join', async ({ room_id }: { room_id: string }, ack: (answer: object) => void) => {
    await socket.join(room_id);
    ack({ ok: true, data: { room: { id: room_id, last_change_seq: 0 }, messages: [], has_more: false } });
  });

  socket.on('room.message.send', ({ room_id, body, client_id }: Send, ack: (answer: object) => void) => {
    const n = ++count;
    const message: Message = {
      id: `m_city_${randomUUID().slice(10)}`, // as long as a ULID, and a fraction of its price
      room_id,
      seq: n,
      change_seq: n,
      author_user_id: user.id,
      author_agent_id: null,
      username: user.name,
      body,
      client_id: client_id ?? null,
      created_at: new Date().toISOString(),
      edited_at: null,
      deleted_at: null,
    };
    rooms.to(room_id).emit('room.message', { room_id, message });
    ack({ ok: true, data: { message, duplicate: false } });
  });
});

servePresence(io, redis);
serve(io, () => redis.quit());
