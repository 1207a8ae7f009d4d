/** Clients of a test's city: made for a user, awaited in a state, and closed together. */
import { createCityClient } from '../../src/client/index.ts';
import type { CityClient, CityOptions, Role, RoomHandle, RoomState, Store } from '../../src/client/index.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';

export interface PersonOptions extends Omit<CityOptions, 'token'> {
  name?: string;
  roles?: Role[];
  lifetimeS?: number;
}

/** Resolves with the first snapshot of `store` that fits; its last one is in the complaint. */
export async function untilState<T>(
  store: Store<T>,
  fits: (state: T) => boolean,
  what: string,
  deadlineMs = 10_000,
): Promise<T> {
  const look = () => (fits(store.getSnapshot()) ? { state: store.getSnapshot() } : null);
  const found = await until(look, what, deadlineMs).catch((error: Error) => {
    throw new Error(`${error.message}\n${JSON.stringify(store.getSnapshot()).slice(0, 2_000)}`);
  });
  return found.state;
}

export const untilLive = async (room: RoomHandle): Promise<RoomState> =>
  untilState<RoomState>(room, ({ status }) => status === 'live', `${room.room_id} live`);

export const bodies = ({ messages }: RoomState) => messages.map(({ body }) => body);

/** Whether `messages` are numbered without a gap, and a message of each number once. */
export const isGapless = ({ messages }: RoomState) =>
  messages.every(({ seq }, index) => seq === messages[0]!.seq + index);

export function createPeople(city: City) {
  const clients: CityClient[] = [];
  return {
    /** A client of `userId`, whose tokens are renewed for ever. */
    person(userId: string, { name, roles, lifetimeS, ...options }: PersonOptions = {}): CityClient {
      const client = createCityClient({
        url: city.url(),
        getToken: () =>
          city.token(userId, {
            ...(name === undefined ? {} : { name }),
            ...(roles ? { roles } : {}),
            ...(lifetimeS === undefined ? {} : { lifetimeS }),
          }),
        ...options,
      });
      clients.push(client);
      return client;
    },
    leave(): void {
      for (const client of clients.splice(0)) client.close();
    },
  };
}
