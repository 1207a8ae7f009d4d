/** Which scopes of the feed a connection is subscribed to, whatever order holders and answers come in. */
import { expect, it } from '@jest/globals';
import type { Connection } from '../../src/client/connection.ts';
import { createFeedSource } from '../../src/client/feed-source.ts';

/** A live connection that answers when told to. */
function connection() {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const ask = (event: string) => {
    asked.push(event);
    return new Promise<void>((done) => answers.push(done));
  };
  const off = () => {};
  const live = { ask, isLive: () => true, onConnect: () => off, onDisconnect: () => off };
  return { asked, answers, connection: live as unknown as Connection };
}

it('is not subscribed any more when the last holder let go before the answer', async () => {
  const { asked, answers, connection: live } = connection();
  const letGo = createFeedSource(live).hold('city', () => {});
  letGo();
  answers[0]!();
  await new Promise((done) => setImmediate(done));
  expect(asked).toEqual(['feed.subscribe', 'feed.unsubscribe']);
});

it('stays subscribed for one who came back before the answer', async () => {
  const { asked, answers, connection: live } = connection();
  const source = createFeedSource(live);
  source.hold('city', () => {})();
  let ready = false;
  source.hold('city', () => {
    ready = true;
  });
  for (const answer of answers) answer();
  await new Promise((done) => setImmediate(done));
  expect(ready).toBe(true);
  expect(asked).not.toContain('feed.unsubscribe');
});
