/** Redis connections that fail fast, come back by themselves, and never take the process with them. */
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from './logger.ts';

const PING_EVERY_MS = 5_000;
/** How long an answer is waited for, milliseconds. */
export const COMMAND_TIMEOUT_MS = 1_000;

type ReplyError = Error & { command?: { name?: string } };

/** Whether `error` says that Redis answers, but not to this user and password, or has no such database. */
export function refusesUrl({ message }: { message: string }): boolean {
  return /^(NOAUTH|WRONGPASS) |^ERR (DB index|SELECT is not allowed|value is out of range)/.test(message);
}

/**
 * Keeps `link` from going on in database 0, among the keys of another city, when Redis refuses the one of its URL: it
 * is tried again instead, and never ready.
 */
export function stayInDatabase(link: Redis): void {
  link.on('error', ({ command }: ReplyError) => {
    if (command?.name === 'select') link.disconnect(true);
  });
}

export interface RedisLinks {
  /** Commands and publishing: rejects at once while Redis is away (isTemporary), after 1 s when it hangs. */
  readonly commands: Redis;
  /** Subscriptions: restored after every reconnect. */
  readonly subscriber: Redis;
  /** The number of the database: pub/sub is not separated by it, so channel names must carry it. */
  readonly database: number;
  isUp(): boolean;
  /** Calls `listener` every time the command link is (again) ready. */
  onReady(listener: () => void): void;
  close(): Promise<void>;
}

/**
 * Connects in the background; resolves when both links are up or after `waitMs`, whichever comes first, since the
 * city serves without Redis too. Rejects when Redis says meanwhile that the URL is wrong (refusesUrl).
 */
export async function connectRedis(url: string, log: Logger, waitMs = 2_000): Promise<RedisLinks> {
  const retryStrategy = (attempt: number) => Math.min(50 * 2 ** (attempt - 1), 500);
  const base = { retryStrategy, connectTimeout: 2_000, keepAlive: 10_000 };
  const commands = new Redis(url, {
    ...base,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    commandTimeout: COMMAND_TIMEOUT_MS,
  });
  const subscriber = new Redis(url, { ...base, maxRetriesPerRequest: null });
  const links = { commands, subscriber };
  let refuse = (_error: Error) => {};
  const refused = new Promise<never>((_resolve, reject) => void (refuse = reject));

  for (const [name, link] of Object.entries(links)) {
    let said = '';
    stayInDatabase(link);
    link.on('error', (error: Error) => {
      if (refusesUrl(error)) refuse(error);
      if (said !== error.message) log.warn({ link: name, error: error.message }, 'redis is not answering');
      said = error.message;
    });
    link.on('ready', () => {
      if (said) log.info({ link: name }, 'redis is back');
      said = '';
    });
  }

  // A half-open link is noticed only by an answer that does not come.
  const watchdog = setInterval(() => {
    for (const link of Object.values(links)) {
      if (link.status !== 'ready') continue;
      // A ping that is refused proves nothing either: only an answer takes the deadline back.
      const deadline = setTimeout(() => link.disconnect(true), PING_EVERY_MS - 500).unref();
      link.ping().then(
        () => clearTimeout(deadline),
        () => {},
      );
    }
  }, PING_EVERY_MS);

  const ready = Promise.all(
    Object.values(links).map((link) => new Promise<void>((resolve) => void link.once('ready', resolve))),
  );
  const close = async () => {
    clearInterval(watchdog);
    commands.disconnect();
    subscriber.disconnect();
  };
  try {
    await Promise.race([ready, refused, sleep(waitMs, undefined, { ref: false })]);
  } catch (error) {
    await close();
    throw error;
  }

  return {
    ...links,
    database: commands.options.db ?? 0,
    isUp: () => commands.status === 'ready' && subscriber.status === 'ready',
    onReady: (listener) => void commands.on('ready', listener),
    close,
  };
}
