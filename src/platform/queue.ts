/** BullMQ: a producer that fails fast, and workers whose jobs survive a crash, each on connections of its own. */
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from './logger.ts';
import { stayInDatabase } from './redis.ts';

const PREFIX = 'city';

/**
 * A socket that is silent for 15 s with a command open counts as dead; above the longest blocking wait of a worker,
 * which is 10 s.
 */
const SOCKET_TIMEOUT_MS = 15_000;

const link = {
  retryStrategy: (attempt: number) => Math.min(50 * 2 ** (attempt - 1), 500),
  connectTimeout: 2_000,
  keepAlive: 10_000,
  socketTimeout: SOCKET_TIMEOUT_MS,
};

/**
 * A killed worker's job is another's after at most 5 s (workers share the look for stalled jobs, so that two of them may
 * pass): one killed before it has claimed anything is picked up sooner than one killed later. A loop that is blocked
 * for longer loses its jobs, and they may run twice. A failed or finished job leaves nothing behind, so that its id may
 * be used again: what is still to be done is said by rows, not by jobs.
 */
const CRASH = { lockDuration: 3_000, stalledInterval: 1_000, maxStalledCount: 3 };
const LEAVE_NOTHING = { removeOnComplete: true, removeOnFail: true };
/** The wait after a connection error; BullMQ's own default would leave a worker idle for 15 s. */
const RETRY_MS = 1_000;

/** The same trouble is logged once until it changes. */
function quietly(log: Logger, source: string) {
  let said = '';
  return (error: Error) => {
    if (said !== error.message) log.warn({ source, error: error.message }, 'queue trouble');
    said = error.message;
  };
}

export interface AddOptions {
  /** A job with the id of one that still exists is not added; no colon, not a number. */
  jobId: string;
  /** The wait before the job may begin, milliseconds. */
  delay?: number;
  attempts: number;
  /** The wait before the first retry, doubled for each next. */
  backoffMs: number;
}

export type Producer = ReturnType<typeof createProducer>;

/** Adds jobs to the queues `names`. */
export function createProducer(url: string, names: readonly string[], log: Logger) {
  const client = new Redis(url, {
    ...link,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    commandTimeout: 1_000,
  });
  stayInDatabase(client);
  const onError = quietly(log, 'producer');
  client.on('error', onError);
  const queues = new Map(
    names.map((name) => {
      // Neither waiting nor asking for the version: a queue made while Redis is away must work once it is back.
      const options = {
        connection: client,
        prefix: PREFIX,
        skipWaitingForReady: true,
        skipVersionCheck: true,
      };
      const queue = new Queue(name, { ...options, skipMetasUpdate: true });
      queue.on('error', onError);
      return [name, queue];
    }),
  );

  return {
    /** The queues, for a dashboard. */
    queues: [...queues.values()],

    /** Adds a job; rejects within milliseconds while Redis is away, after 1 s when it hangs. */
    async add(name: string, data: object, { backoffMs, ...options }: AddOptions): Promise<void> {
      const queue = queues.get(name);
      if (!queue) throw new Error(`There is no queue ${name}.`);
      const backoff = { type: 'exponential', delay: backoffMs };
      await queue.add(name, data, { ...options, backoff, ...LEAVE_NOTHING });
    },

    async close(): Promise<void> {
      await Promise.allSettled([...queues.values()].map((queue) => queue.close()));
      client.disconnect();
    },
  };
}

export interface WorkerSpec {
  queue: string;
  concurrency: number;
  /** A job that rejects is retried as it was added; one that stalls may run twice. */
  run(data: unknown): Promise<void>;
}

export type Workers = ReturnType<typeof startWorkers>;

/** Starts a worker for each of `specs`. */
export function startWorkers(url: string, specs: WorkerSpec[], log: Logger) {
  const client = new Redis(url, { ...link, maxRetriesPerRequest: null });
  stayInDatabase(client);
  const links = [client];
  // BullMQ makes the blocking connections out of this one; they are noted, for close() to be sure of them.
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (override) => {
    const copy = duplicate(override);
    stayInDatabase(copy);
    links.push(copy);
    return copy;
  };
  client.on('error', quietly(log, 'workers'));

  const workers = specs.map(({ queue, concurrency, run }) => {
    const worker = new Worker(queue, (job) => run(job.data), {
      connection: client,
      prefix: PREFIX,
      concurrency,
      runRetryDelay: RETRY_MS,
      ...CRASH,
      removeOnComplete: { count: 0 },
      removeOnFail: { count: 0 },
    });
    worker.on('error', quietly(log, queue));
    worker.on('failed', (job, error) => {
      log.warn({ err: error, queue, job_id: job?.id, attempt: job?.attemptsMade }, 'a job failed');
    });
    return worker;
  });

  return {
    /** Takes no more jobs, waits for the running ones up to `deadlineMs`, then drops the connections. */
    async close(deadlineMs = 25_000): Promise<void> {
      // Without a connection there is nothing that a worker could wait for, and it would wait for that.
      const away = client.status !== 'ready';
      const closing = Promise.allSettled(workers.map((worker) => worker.close(away)));
      const deadline = new AbortController();
      const late = sleep(away ? 500 : deadlineMs, undefined, { signal: deadline.signal });
      await Promise.race([closing, late.catch(() => {})]);
      deadline.abort();
      // Dropping what has ended would leave a timer of ioredis behind.
      for (const each of links) if (each.status !== 'end') each.disconnect();
    },
  };
}
