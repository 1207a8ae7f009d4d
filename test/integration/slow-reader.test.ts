/** A client that stops reading costs itself its connection, and nobody else anything. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

const ROOM = 'room_city_general';

let city: City;
beforeAll(async () => {
  city = await startCity();
});
afterAll(() => city.stop());

it('is cut over 1 MB queued, and resumes with what it missed', async () => {
  const [stalled, peer, writer] = await Promise.all(
    ['u_stalled', 'u_peer', 'u_writer'].map((user) => city.socket('/rooms', user)),
  );
  const { room } = await stalled!.call('room.join', { room_id: ROOM });
  await peer!.call('room.join', { room_id: ROOM });
  await until(() => stalled!.raw.io.engine.transport.name === 'websocket', 'the upgrade');
  // The client's own TCP socket takes nothing more.
  const { ws } = stalled!.raw.io.engine.transport as unknown as {
    ws: { _socket: { pause(): void; resume(): void } };
  };
  ws._socket.pause();

  const rest = await city.rest('u_writer');
  const online = async () => (await rest('GET', `/city/rooms/${ROOM}`)).body.online_members as string[];
  const body = 'x'.repeat(10_000);
  let sent = 0;
  while ((await online()).includes('u_stalled')) {
    expect(sent).toBeLessThan(5_000);
    await Promise.all(
      Array.from({ length: 50 }, () => writer!.call('room.message.send', { room_id: ROOM, body })),
    );
    sent += 50;
  }

  await until(() => peer!.of('room.message').length === sent, 'all messages at the peer');
  expect(peer!.raw.connected).toBe(true);
  stalled!.close();
  const back = await city.socket('/rooms', 'u_stalled');
  const missed = await back.call('room.join', { room_id: ROOM, since: room.last_change_seq });
  expect(missed.messages).toHaveLength(Math.min(sent, 1_000));
  for (const socket of [peer!, writer!, back]) socket.close();
}, 60_000);
