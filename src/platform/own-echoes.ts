/**
 * A node hears its own news, too. The adapter parses each whole before it sees that; here it is known by how it begins
 * (@socket.io/redis-adapter 8).
 */
import type { Redis } from 'ioredis';

/** The parts of a RedisAdapter that its types keep private. */
interface Adapter {
  readonly uid: string;
  readonly redisListeners: Map<string, (channel: Buffer, message: Buffer) => void>;
}

/** The request type SERVER_SIDE_EMIT of the adapters' protocol. */
const NEWS = 6;
const EVENT = 'messageBuffer';

/** Keeps what `adapter` hears of its own news from it; nothing else, since other requests are meant for the sender, too. */
export function ignoreOwnEchoes(adapter: unknown, subscriber: Redis): void {
  const { uid, redisListeners } = adapter as Adapter;
  const receive = redisListeners.get(EVENT);
  if (!receive) return;
  const echo = Buffer.from(`{"uid":"${uid}","type":${NEWS},`);
  const receiveOthers = (channel: Buffer, message: Buffer) => {
    if (!message.subarray(0, echo.length).equals(echo)) receive(channel, message);
  };
  subscriber.off(EVENT, receive);
  subscriber.on(EVENT, receiveOthers);
  redisListeners.set(EVENT, receiveOthers); // for the adapter to take off when it closes
}
