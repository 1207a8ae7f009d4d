/** The REST of the tutorial's server: each answer out of the tables, by the plain queries that come to mind first. */
import express from 'express';
import type { Express, Request } from 'express';
import type pg from 'pg';
import type { Server } from 'socket.io';
import { verify } from './common.ts';

/** What a list of rooms shows beyond a room and its members; every condition has its index. */
export const REST_SCHEMA = `
  alter table rooms add column if not exists description text, add column if not exists is_default boolean not null default false;
  create index if not exists members_user on members (user_id);
  create table if not exists read_marks (
    user_id text not null,
    room_id text not null,
    last_read_id bigint not null,
    primary key (user_id, room_id)
  );
`;

const ROOM = `
  select r.id, r.name, r.description, r.is_default, r.created_at, m.user_id is not null joined,
    (select created_at from messages where room_id = r.id order by id desc limit 1) last_event,
    case when m.user_id is not null
      then (select count(*) from messages where room_id = r.id and id > coalesce(k.last_read_id, 0)) else 0 end unread
  from rooms r
  left join members m on m.room_id = r.id and m.user_id = $1
  left join read_marks k on k.room_id = r.id and k.user_id = $1`;

export function createRest(pool: pg.Pool, io: Server): Express {
  const app = express();
  const online = (roomId: string) => io.of('/rooms').adapter.rooms.get(roomId)?.size ?? 0;
  const userOf = (request: Request) => verify(request.headers.authorization?.replace(/^Bearer /, ''));

  app.get('/city/rooms', async (request, response) => {
    const { id } = await userOf(request);
    const { rows } = await pool.query<{ id: string }>(
      `${ROOM} order by r.is_default desc, r.name limit 100`,
      [id],
    );
    response.json(rows.map((room) => ({ ...room, members_online: online(room.id) })));
  });

  app.get('/city/rooms/:room_id', async (request, response) => {
    const { id } = await userOf(request);
    const { room_id } = request.params;
    const { rows: rooms } = await pool.query<{ id: string }>(`${ROOM} where r.id = $2`, [id, room_id]);
    if (!rooms[0]) return void response.status(404).end();
    const { rows: messages } = await pool.query(
      'select * from messages where room_id = $1 order by id desc limit 50',
      [room_id],
    );
    const { rows: members } = await pool.query<{ user_id: string }>(
      'select user_id from members where room_id = $1 limit 200',
      [room_id],
    );
    response.json({
      room: rooms[0],
      messages: messages.reverse(),
      members_online: online(room_id),
      online_members: members.map(({ user_id }) => user_id),
    });
  });
  return app;
}
