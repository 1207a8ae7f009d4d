/** What the two servers of comparison share: tokens, settings, the shape of a message, and their start and stop. */
import { createAdapter } from '@socket.io/redis-adapter';
import type { Redis } from 'ioredis';
import { jwtVerify } from 'jose';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { Server } from 'socket.io';
import type { Socket } from 'socket.io';

export interface User {
  id: string;
  name: string;
}

/** The fields of a message of the city, so that frames and acknowledgements weigh the same. */
export interface Message {
  id: string;
  room_id: string;
  seq: number;
  change_seq: number;
  author_user_id: string;
  author_agent_id: null;
  username: string;
  body: string;
  client_id: string | null;
  created_at: string;
  edited_at: null;
  deleted_at: null;
}

export interface Send {
  room_id: string;
  body: string;
  client_id?: string;
}

export const env = (name: string): string => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is required`);
  return value;
};

const secret = new TextEncoder().encode(env('JWT_SECRET'));

/** Whoever the token names; throws when it is not valid. */
export async function verify(token: unknown): Promise<User> {
  const { payload } = await jwtVerify(String(token), secret, { algorithms: ['HS256'] });
  return { id: payload.sub!, name: typeof payload.name === 'string' ? payload.name : payload.sub! };
}

/** Socket.IO as its documentation sets it up with several nodes, both namespaces behind the token. */
export function createIo(redis: Redis) {
  const io = new Server({
    adapter: createAdapter(redis, redis.duplicate()),
    // As the city: how often idle connections are asked is a setting of the transport, and what it costs is on every
    // server's account.
    pingInterval: 10_000,
    pingTimeout: 10_000,
  });
  for (const namespace of ['/rooms', '/presence']) {
    io.of(namespace).use((socket, next) => {
      verify(socket.handshake.auth.token).then(
        (user) => {
          socket.data.user = user;
          next();
        },
        () => next(new Error('unauthenticated')),
      );
    });
  }
  return io;
}

export const userOf = (socket: Socket): User => socket.data.user as User;

/** Serves until SIGTERM; `listener` answers REST, `/health/ready` is answered here. */
export function serve(
  io: Server,
  close: () => Promise<unknown>,
  listener: RequestListener = (_, response) => {
    response.writeHead(404).end();
  },
): void {
  const http = createServer((request, response) => {
    if (request.url === '/health/ready') return void response.writeHead(200).end();
    listener(request, response);
  });
  io.attach(http);
  http.listen(Number(env('PORT')));
  process.on('SIGTERM', () => {
    void io.close();
    void close().finally(() => process.exit(0));
  });
}
