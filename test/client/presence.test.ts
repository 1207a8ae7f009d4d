/** Presence of the typed client, with as much of a page as it looks at: input, visibility, closing. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createPeople, untilState } from './people.ts';

let city: City;
let people: ReturnType<typeof createPeople>;
const surroundings = globalThis as { window?: EventTarget; document?: EventTarget };

beforeAll(async () => {
  city = await startCity();
  people = createPeople(city);
});
afterEach(() => {
  people.leave();
  delete surroundings.window;
  delete surroundings.document;
});
afterAll(() => city.stop());

const openPage = () => {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  Object.assign(surroundings, { window, document });
  return { window, document };
};

describe('a page', () => {
  it('is away without input, back with the first, and offline when it closes', async () => {
    const watcher = people.person('u_watcher');
    const statusOf = (status: string | undefined) =>
      untilState(watcher.presence, ({ users }) => users['u_idler']?.status === status, `idler ${status}`);
    const { window } = openPage();
    const idler = people.person('u_idler', { awayAfterMs: 5_000 });
    await statusOf('online');
    await statusOf('away');
    expect(idler.presence.getSnapshot().mine).toBe('away');
    await untilState(watcher.presence, ({ away }) => away === 1, 'one away');
    window.dispatchEvent(new Event('keydown'));
    await statusOf('online');
    await untilState(idler.presence, ({ mine }) => mine === 'online', 'online by its own account');
    window.dispatchEvent(new Event('pagehide'));
    await statusOf(undefined);
    window.dispatchEvent(new Event('pageshow'));
    await statusOf('online');
  });

  it('in Node is never away', async () => {
    const watcher = people.person('u_watcher');
    const bot = people.person('u_bot', { awayAfterMs: 1 });
    await untilState(bot.presence, ({ mine }) => mine !== 'offline', 'the first heartbeat');
    expect(bot.presence.getSnapshot().mine).toBe('online');
    await untilState(watcher.presence, ({ users }) => users['u_bot']?.status === 'online', 'seen online');
    bot.close();
    await untilState(watcher.presence, ({ users }) => !users['u_bot'], 'gone');
  });
});
