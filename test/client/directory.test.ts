/** Names of the typed client: also of people who have said nothing and are in no room. */
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createPeople, untilState } from './people.ts';

let city: City;
let people: ReturnType<typeof createPeople>;

beforeAll(async () => {
  city = await startCity();
  people = createPeople(city);
});
afterEach(() => people.leave());
afterAll(() => city.stop());

it('learns who is online already and who comes later, while somebody looks at names', async () => {
  const many = Array.from({ length: 6 }, (_, n) => ({ id: `u_early${n}`, name: `Early ${n}` }));
  for (const { id, name } of many) people.person(id, { name });
  const watcher = people.person('u_watcher');
  await untilState(watcher.presence, ({ users }) => many.every(({ id }) => users[id]), 'the early in view');
  expect(watcher.nameOf('u_early0')).toBe('User-rly0');

  const off = watcher.names.subscribe(() => {});
  await untilState(watcher.names, (names) => many.every(({ id, name }) => names[id] === name), 'names');
  people.person('u_late', { name: 'Late' });
  await untilState(watcher.names, (names) => names['u_late'] === 'Late', 'the name of the late one');
  off();
});
