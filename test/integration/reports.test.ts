/** Reports of messages and the moderators' queue of them. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ModerationAct, QueuedReport, Report } from '../../src/contract/moderation.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { expectShape } from '../support/shape.ts';

let city: City;
beforeAll(async () => {
  city = await startCity();
});
afterAll(() => city.stop());

it('a report is made once by each, queued for moderators, and closed by one of them', async () => {
  const [author, reporter, second, mod] = await Promise.all([
    city.rest('u_author', 0, { name: 'Author' }),
    city.rest('u_reporter'),
    city.rest('u_second'),
    city.rest('u_mod', 0, { roles: ['moderator'] }),
  ]);
  const room_id = 'room_city_general';
  const { body: message } = await author('POST', '/city/rooms/general/messages', { body: 'buy my coins' });
  const report = { room_id: 'general', message_id: message.id, reason: 'spam' };

  const made = await reporter('POST', '/city/reports', report);
  expect(made.status).toBe(201);
  expect(expectShape(Report, made.body)).toMatchObject({
    room_id,
    message_id: message.id,
    reporter_id: 'u_reporter',
    reason: 'spam',
    status: 'open',
    note: null,
    handled_by: null,
  });
  const again = await Promise.all(
    ['spam', 'really'].map((reason) => reporter('POST', '/city/reports', { ...report, reason })),
  );
  for (const answer of again) expect(answer).toMatchObject({ status: 200, body: made.body });
  const other = await second('POST', '/city/reports', { ...report, room_id });
  expect(other).toMatchObject({ status: 201, body: { reporter_id: 'u_second' } });

  expect((await reporter('GET', '/city/reports')).status).toBe(403);
  const queue = await mod('GET', '/city/reports?status=open');
  expect(queue.status).toBe(200);
  expect(queue.body.map((entry: unknown) => expectShape(QueuedReport, entry).id)).toEqual([
    other.body.id,
    made.body.id,
  ]);
  expect(queue.body[1].message).toEqual(message);
  const page = await mod('GET', `/city/reports?limit=1&before=${other.body.id}`);
  expect(page.body.map(({ id }: { id: string }) => id)).toEqual([made.body.id]);
  expect((await mod('GET', `/city/reports?before=rep_city_${'0'.repeat(26)}`)).status).toBe(400);

  expect((await reporter('PATCH', `/city/reports/${made.body.id}`, { status: 'dismissed' })).status).toBe(
    403,
  );
  const closed = await mod('PATCH', `/city/reports/${made.body.id}`, { status: 'resolved', note: 'warned' });
  expect(expectShape(Report, closed.body)).toMatchObject({
    status: 'resolved',
    note: 'warned',
    handled_by: 'u_mod',
  });
  await mod('PATCH', `/city/reports/${other.body.id}`, { status: 'dismissed' });
  expect((await mod('GET', '/city/reports?status=open')).body).toEqual([]);
  expect((await mod('GET', '/city/reports?status=resolved')).body).toHaveLength(1);
  expect((await reporter('POST', '/city/reports', report)).body).toEqual(closed.body);

  const { body: log } = await mod('GET', '/city/moderation/log');
  expect(log.map((entry: unknown) => expectShape(ModerationAct, entry).action)).toEqual([
    'dismiss_report',
    'resolve_report',
  ]);
  expect(log[1]).toMatchObject({
    moderator_id: 'u_mod',
    room_id,
    message_id: message.id,
    report_id: made.body.id,
    reason: 'warned',
  });
});

it.each([
  [{ room_id: 'general', message_id: `m_city_${'0'.repeat(26)}`, reason: 'x' }, 404],
  [{ room_id: 'nowhere', message_id: `m_city_${'0'.repeat(25)}1`, reason: 'x' }, 404],
  [{ room_id: 'science', message_id: `m_city_${'0'.repeat(25)}1`, reason: 'x' }, 404],
  [{ room_id: 'general', message_id: `m_city_${'0'.repeat(25)}1`, reason: ' ' }, 400],
  [{ room_id: 'general', message_id: `m_city_${'0'.repeat(25)}1` }, 400],
  [{ room_id: 'general', message_id: 'm_city_x', reason: 'x' }, 400],
])('%j is %i', async (body, status) => {
  const rest = await city.rest('u_wrong');
  expect((await rest('POST', '/city/reports', body)).status).toBe(status);
});

it('knows no report that is not, and only two ways to close one', async () => {
  const mod = await city.rest('u_mod', 0, { roles: ['moderator'] });
  const path = `/city/reports/rep_city_${'0'.repeat(26)}`;
  expect((await mod('PATCH', path, { status: 'resolved' })).status).toBe(404);
  expect((await mod('PATCH', path, { status: 'open' })).status).toBe(400);
  expect((await mod('GET', '/city/reports?status=closed')).status).toBe(400);
});
