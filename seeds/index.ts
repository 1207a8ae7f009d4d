/** Demo data of a new city, safe to plant again: five rooms, two welcome messages, the first feed event. */
import type { Knex } from 'knex';
import { insertRoom } from '../src/rooms/rooms.repo.ts';

const ROOMS = [
  { slug: 'general', name: 'General', description: 'Головна кімната міста', is_default: true },
  { slug: 'welcome', name: 'Welcome', description: 'Вітаємо нових громадян', is_default: true },
  { slug: 'builders', name: 'Builders', description: 'Для тих, хто будує місто', is_default: true },
  { slug: 'science', name: 'Science', description: 'Наукова кімната', is_default: false },
  { slug: 'energy', name: 'Energy', description: 'Енергія та сталий розвиток', is_default: false },
];

const WELCOMES = [
  { n: 1, room_id: 'room_city_general', body: 'Ласкаво просимо до DAARION City! 🏛️' },
  { n: 2, room_id: 'room_city_welcome', body: 'Розкажіть про себе: хто ви і що хочете збудувати?' },
];

/** A fixed id, so that planting again finds what is there. A message and its event share the number (migration 0010). */
const fixedId = (prefix: string, n: number) => `${prefix}_${'0'.repeat(25)}${n}`;

/** Plants what is missing in one transaction; needs the current schema. */
export async function seed(db: Knex): Promise<void> {
  await db.transaction(async (trx) => {
    for (const room of ROOMS) await insertRoom(trx, { ...room, created_by: null });
    await trx('city_events')
      .insert({
        id: fixedId('evt_city', 0),
        kind: 'system',
        agent_id: 'ag_system',
        payload: { body: 'DAARION City відкрито', snippet: 'DAARION City відкрито' },
      })
      .onConflict()
      .ignore();
    await trx.raw('select * from city_send(?::jsonb, ?::jsonb)', [
      JSON.stringify(
        WELCOMES.map(({ n, room_id, body }) => ({
          ord: n,
          id: fixedId('m_city', n),
          room_id,
          sender_id: 'ag_system',
          author_user_id: null,
          author_agent_id: 'ag_system',
          username: 'DAARION City',
          body,
          client_id: null,
        })),
      ),
      '[]',
    ]);
  });
}
