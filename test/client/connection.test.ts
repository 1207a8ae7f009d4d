/** The connection of the typed client: tokens that end, handshakes that are refused, limits, presence. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { CityError, createCityClient } from '../../src/client/index.ts';
import type { CityClient } from '../../src/client/index.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';
import { bodies, createPeople, untilLive, untilState } from './people.ts';

let city: City;
let people: ReturnType<typeof createPeople>;
const others: CityClient[] = [];

beforeAll(async () => {
  city = await startCity();
  people = createPeople(city);
});
afterEach(() => {
  people.leave();
  for (const client of others.splice(0)) client.close();
});
afterAll(() => city.stop());

const clientWith = (getToken: () => Promise<string | null>) => {
  const client = createCityClient({ url: city.url(), getToken });
  others.push(client);
  return client;
};
const isLive = ({ phase }: { phase: string }) => phase === 'live';

describe('a token', () => {
  it('is renewed before it expires, and the connection stays', async () => {
    let given = 0;
    const client = clientWith(() => {
      given += 1;
      return city.token('u_short', { lifetimeS: 9 });
    });
    const phases: string[] = [];
    client.connection.subscribe(() => phases.push(client.connection.getSnapshot().phase));
    await untilState(client.connection, isLive, 'live');
    const firstEnds = Date.now() + 9_000;
    const room = client.rooms.join('general');
    await untilLive(room);
    await until(() => Date.now() > firstEnds + 500, 'the first token has expired', 20_000);
    room.send('still here');
    await untilState(room, ({ outgoing }) => outgoing.length === 0, 'sent');
    expect(phases).toEqual(['live']);
    expect(given).toBeGreaterThan(1);
    await client.rest.profile();
  });

  it('that is void is replaced by a newer one', async () => {
    const client = people.person('u_everywhere');
    const room = client.rooms.join('general');
    await untilLive(room);
    const phases: string[] = [];
    client.connection.subscribe(() => phases.push(client.connection.getSnapshot().phase));
    await client.rest.logoutEverywhere();
    await until(() => phases.includes('lost'), 'disconnected');
    await untilState(client.connection, isLive, 'live again');
    await untilLive(room);
  });

  it('that is no good ends in a refusal, and so does having none any more', async () => {
    const client = createCityClient({ url: city.url(), token: 'not.a.token' });
    others.push(client);
    await untilState(client.connection, ({ phase }) => phase === 'refused', 'refused');
    expect(client.connection.getSnapshot().code).toBe('unauthenticated');
    await expect(client.rest.home()).rejects.toMatchObject({ code: 'unauthenticated' });

    let signedIn = false;
    const guest = clientWith(async () => (signedIn ? city.token('u_guest', { name: 'Guest' }) : null));
    await untilState(guest.connection, ({ phase }) => phase === 'refused', 'signed out');
    expect(guest.me.getSnapshot()).toBeNull();
    signedIn = true;
    guest.reconnect();
    await untilState(guest.connection, isLive, 'signed in');
    expect(guest.me.getSnapshot()).toEqual({ user_id: 'u_guest', username: 'Guest', roles: ['citizen'] });
  });

  it('is asked for again when it could not be had', async () => {
    let asked = 0;
    const client = clientWith(async () => {
      asked += 1;
      if (asked === 1) throw new Error('the token server is down');
      return city.token('u_patient');
    });
    await untilState(client.connection, ({ phase }) => phase === 'lost', 'lost');
    await untilState(client.connection, isLive, 'live');
  });
});

describe('calls', () => {
  it('that come too fast are paced, in order, without a failure', async () => {
    const owner = people.person('u_owner').rest;
    const { id } = await owner.createRoom({ name: 'Slow' });
    await owner.updateRoom({ room_id: id, slow_mode_s: 1 });
    const room = people.person('u_fast').rooms.join(id);
    await untilLive(room);
    let failed = 0;
    room.subscribe(
      () => (failed += room.getSnapshot().outgoing.filter(({ state }) => state === 'failed').length),
    );
    const all = ['one', 'two', 'three'];
    for (const body of all) room.send(body);
    const state = await untilState(room, ({ outgoing }) => outgoing.length === 0, 'all sent');
    expect(bodies(state)).toEqual(all);
    expect(failed).toBe(0);
  });

  it('are typed by the contract, and what the compiler refuses the city refuses too', async () => {
    const { rest, ask, connection } = people.person('u_typed');
    await untilState(connection, isLive, 'live');
    const invalid = { name: 'CityError', code: 'invalid', retryable: false };
    const refused = [
      // @ts-expect-error a room needs a name
      rest.createRoom({}),
      // @ts-expect-error no such field
      rest.createRoom({ name: 'x', colour: 'red' }),
      // @ts-expect-error a number
      rest.listRooms({ limit: 'many' }),
      // @ts-expect-error a scope that is none
      rest.listFeed({ scope: 'moon' }),
      // @ts-expect-error home takes nothing
      rest.home({ limit: 1 }),
      // @ts-expect-error seq is a number
      ask('room.read', { room_id: 'general', seq: '1' }),
      // @ts-expect-error no such status
      ask('presence.heartbeat', { status: 'asleep' }),
    ];
    for (const outcome of await Promise.allSettled<unknown>(refused)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: invalid });
    }
    // @ts-expect-error no such event
    await expect(ask('room.dance', {})).rejects.toBeInstanceOf(CityError);
    const { room } = await rest.getRoom({ room_id: 'general' });
    const name: string = room.name;
    // @ts-expect-error a name is no number
    const count: number = room.name;
    expect(count).toBe(name);
  });

  it('after close are refused', async () => {
    const client = people.person('u_leaver');
    await untilState(client.connection, isLive, 'live');
    client.close();
    expect(client.connection.getSnapshot()).toEqual({ phase: 'closed', code: null });
    await expect(client.ask('room.leave', { room_id: 'general' })).rejects.toMatchObject({ code: 'closed' });
  });
});
