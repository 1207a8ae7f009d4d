/**
 * Presence as a first version of it is written: every heartbeat sets a key that expires and is told to whoever watches
 * the user.
 */
import type { Redis } from 'ioredis';
import type { Server } from 'socket.io';
import { userOf } from './common.ts';

const TTL_S = 40;
type Ack = (answer: object) => void;

export function servePresence(io: Server, redis: Redis): void {
  const presence = io.of('/presence');
  presence.on('connection', (socket) => {
    const { id } = userOf(socket);

    socket.on('presence.subscribe', ({ user_ids }: { user_ids: string[] }, ack: Ack) => {
      void socket.join(user_ids.map((user) => `of:${user}`));
      ack({ ok: true, data: { users: [], rooms: [] } });
    });

    socket.on('presence.heartbeat', ({ status = 'online' }: { status?: string }, ack: Ack) => {
      redis.setex(`presence:user:${id}`, TTL_S, status).then(
        () => {
          const last_seen = new Date().toISOString();
          presence.to(`of:${id}`).emit('presence.update', { user_id: id, status, last_seen });
          ack({ ok: true, data: { status, ttl_s: TTL_S, interval_s: TTL_S / 2 } });
        },
        (error: Error) =>
          ack({ ok: false, error: { code: 'unavailable', message: error.message, retryable: true } }),
      );
    });
  });
}
