/** The React hooks, mounted by React itself in components that show nothing, and rendered on a server. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createElement, StrictMode } from 'react';
import type { ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import type { Container } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import type { CityClient } from '../../src/client/index.ts';
import {
  CityProvider,
  useCity,
  useConnection,
  useFeed,
  useMe,
  useName,
  useNames,
  usePresence,
  useRoom,
  useRooms,
  useSecondMe,
} from '../../src/client/react.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { until } from '../support/until.ts';
import { createPeople, untilLive } from './people.ts';

let city: City;
let people: ReturnType<typeof createPeople>;
const roots: { unmount(): void }[] = [];
const surroundings = globalThis as { window?: EventTarget };

beforeAll(async () => {
  city = await startCity();
  people = createPeople(city);
  // React asks it which event it is in, and what a frame is.
  surroundings.window = Object.assign(new EventTarget(), { HTMLIFrameElement: class {} });
});
afterEach(() => {
  for (const root of roots.splice(0)) root.unmount();
  people.leave();
});
afterAll(async () => {
  await city.stop();
});

/** As much of an element as React asks of a container in which nothing is shown. */
const emptyContainer = () =>
  Object.assign(new EventTarget(), {
    nodeType: 1,
    nodeName: 'DIV',
    tagName: 'DIV',
    ownerDocument: Object.assign(new EventTarget(), { nodeType: 9 }),
  }) as unknown as Container;

/** Mounts what `use` reads; the values of all renderings, the newest last. */
function mount<T>(client: CityClient, use: () => T) {
  const seen: T[] = [];
  const Reader = (): ReactNode => {
    seen.push(use());
    return null;
  };
  const root = createRoot(emptyContainer());
  roots.push(root);
  root.render(
    createElement(StrictMode, null, createElement(CityProvider, { client }, createElement(Reader))),
  );
  return { seen, now: () => seen.at(-1), unmount: () => root.unmount() };
}

describe('the hooks', () => {
  it('open a room once in strict mode, follow it, act in it, and close it with its component', async () => {
    const client = people.person('u_react');
    const { id } = await client.rest.createRoom({ name: 'React' });
    const watcher = people.person('u_watcher');
    const moves: string[] = [];
    watcher.on('room.join', ({ user_id }) => moves.push(`${user_id} came`));
    watcher.on('room.leave', ({ user_id }) => moves.push(`${user_id} went`));
    await untilLive(watcher.rooms.join(id));
    const [one, two] = [mount(client, () => useRoom('react')), mount(client, () => useRoom(id))];
    await until(() => one.now()?.status === 'live', 'the room live');
    const client_id = one.now()!.send('from a hook');
    await until(() => two.now()?.messages.length === 1, 'the message in the other component');
    expect(two.now()!.messages[0]).toMatchObject({ client_id, body: 'from a hook' });
    await one.now()!.edit(two.now()!.messages[0]!.id, 'edited by a hook');
    await until(() => two.now()?.messages[0]?.body === 'edited by a hook', 'the edit');
    one.unmount();
    two.now()!.send('still here');
    await until(() => two.now()?.messages.length === 2, 'the other component is live');
    await until(() => moves.length > 0, 'the notice');
    expect(moves).toEqual(['u_react came']);
    two.unmount();
    await until(() => moves.includes('u_react went'), 'the room closed');
  });

  it('read everything else, without rendering when nothing changed', async () => {
    const client = people.person('u_reader', { name: 'Reader' });
    const all = mount(client, () => ({
      connection: useConnection(),
      me: useMe(),
      name: useName('u_reader'),
      names: useNames(),
      rooms: useRooms(),
      presence: usePresence(),
      feed: useFeed('mine'),
      secondMe: useSecondMe(),
      city: useCity(),
    }));
    const isComplete = () => {
      const now = all.now();
      return (
        now?.connection.phase === 'live' &&
        now.me?.username === 'Reader' &&
        now.rooms.rooms?.some(({ slug }) => slug === 'general') &&
        now.presence.users['u_reader']?.status === 'online' &&
        now.feed.events !== null &&
        now.secondMe.history !== null
      );
    };
    await until(isComplete, 'everything read');
    expect(all.now()).toMatchObject({ name: 'Reader', city: client });
    expect(all.now()!.names('u_reader')).toBe('Reader');
    expect(all.seen.length).toBeLessThan(80);
    await all.now()!.rooms.refresh();
    const { rooms, presence, connection } = client;
    for (const store of [
      rooms,
      presence,
      connection,
      client.secondMe,
      client.feed(),
      rooms.peek('general'),
    ]) {
      expect(store.getSnapshot()).toBe(store.getSnapshot());
    }
  });

  it('render on a server, and complain without a provider', () => {
    const client = people.person('u_server');
    const Title = () => createElement('h1', null, `${useRoom('general').status} ${useConnection().phase}`);
    expect(renderToString(createElement(CityProvider, { client }, createElement(Title)))).toBe(
      '<h1>joining connecting</h1>',
    );
    expect(() => renderToString(createElement(Title))).toThrow('CityProvider');
  });
});
