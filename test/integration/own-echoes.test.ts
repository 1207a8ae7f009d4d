/** What a node hears of its own news does not reach the adapter; everything else does, with the installed adapter. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { ignoreOwnEchoes } from '../../src/platform/own-echoes.ts';
import { leaseRedis } from '../support/redis.ts';
import type { RedisLease } from '../support/redis.ts';
import { until } from '../support/until.ts';

let redis: RedisLease;
const links: Redis[] = [];

beforeAll(async () => {
  redis = await leaseRedis();
});
afterAll(async () => {
  for (const link of links) link.disconnect();
  await redis.release();
});

type Listener = (channel: Buffer, message: Buffer) => void;

/** A node without clients, what its adapter was given to read, and the news that it was told. */
async function createNode() {
  const [commands, subscriber] = [new Redis(redis.url), new Redis(redis.url)];
  links.push(commands, subscriber);
  const key = `echoes-${process.pid}`; // pub/sub knows no databases
  const server = new Server({ adapter: createAdapter(commands, subscriber, { key }) });
  const namespace = server.of('/rooms');
  const { redisListeners } = namespace.adapter as unknown as { redisListeners: Map<string, Listener> };
  const read: string[] = [];
  const receive = redisListeners.get('messageBuffer')!;
  const spy: Listener = (channel, message) => {
    if (String(channel).includes('/rooms')) read.push(String(message));
    receive(channel, message);
  };
  subscriber.off('messageBuffer', receive);
  subscriber.on('messageBuffer', spy);
  redisListeners.set('messageBuffer', spy);
  ignoreOwnEchoes(namespace.adapter, subscriber);
  const told: unknown[] = [];
  namespace.on('news' as never, ((news: unknown) => told.push(news)) as never);
  await until(async () => (await commands.pubsub('NUMSUB', `${key}-request#/rooms#`))[1], 'a subscription');
  return { server, namespace, read, told };
}

it('reads the news of others and requests of its own, and not its own news', async () => {
  const [node, other] = [await createNode(), await createNode()];
  await until(async () => (await node.namespace.adapter.serverCount()) === 2, 'both nodes');
  node.namespace.serverSideEmit('news', 'mine');
  other.namespace.serverSideEmit('news', 'theirs');
  node.namespace.in('somewhere').socketsJoin('elsewhere');
  await until(() => other.told.length === 1 && node.told.length === 1, 'the news of each other');
  await until(() => node.read.length === 2, 'the other news and the own request');
  expect(other.told).toEqual(['mine']);
  expect(node.told).toEqual(['theirs']);
  expect(node.read.filter((message) => message.includes('mine'))).toEqual([]);
  expect(node.read.some((message) => message.includes('elsewhere'))).toBe(true);
  for (const { server } of [node, other]) {
    for (const name of ['/', '/rooms']) await server.of(name).adapter.close();
  }
  for (const link of links) expect(link.listenerCount('messageBuffer')).toBe(0);
});
