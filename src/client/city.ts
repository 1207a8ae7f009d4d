/** The composition of a client: one connection, and everything that lives on it. */
import { createConnection } from './connection.ts';
import { createDirectory } from './directory.ts';
import { createFeed } from './feed.ts';
import { createFeedSource } from './feed-source.ts';
import { createNames } from './names.ts';
import { pageOrigin } from './page.ts';
import { createPresence } from './presence.ts';
import { createRest } from './rest.ts';
import { createRooms } from './rooms.ts';
import { createSecondMe } from './second-me.ts';
import { createSession } from './session.ts';
import type { CityClient, CityOptions } from './types.ts';

const AWAY_AFTER_MS = 300_000;
const MESSAGES_KEPT = 1_000;

/** Connects to the city; `close()` ends it. @throws TypeError without a url outside of a page, or without a token */
export function createCityClient(options: CityOptions): CityClient {
  const url = (options.url ?? pageOrigin() ?? '').replace(/\/+$/, '');
  if (url === '') throw new TypeError('createCityClient needs the url of the city');
  const { messagesKept = MESSAGES_KEPT, awayAfterMs = AWAY_AFTER_MS } = options;

  const session = createSession(options);
  const connection = createConnection(url, session);
  const rest = createRest(url, session);
  const names = createNames(session.me);
  const presence = createPresence({ connection, names, awayAfterMs });
  const directory = createDirectory({ names, presence, rest });
  const source = createFeedSource(connection);
  const rooms = createRooms({ connection, rest, names, me: session.me, presence, messagesKept, source });
  const secondMe = createSecondMe({ connection, rest });
  const deps = { connection, source, rest, names, isMember: rooms.isMember };
  const feeds = { city: createFeed('city', deps), mine: createFeed('mine', deps) };
  connection.start();

  return {
    connection: connection.state,
    me: session.me,
    names: directory,
    nameOf: names.of,
    rest,
    rooms: rooms.rooms,
    presence,
    feed: (scope = 'city') => feeds[scope].feed,
    secondMe: secondMe.secondMe,
    on: connection.on,
    ask: connection.ask,
    reconnect: connection.reconnect,
    close(): void {
      rooms.close();
      secondMe.close();
      for (const feed of Object.values(feeds)) feed.close();
      directory.end();
      presence.close();
      source.close();
      session.close();
      connection.close();
    },
  };
}
