/** Every job of the city: name → schema of its data, options, handler. */
import { z } from 'zod';
import { InvocationId, RoomId } from './contract/primitives.ts';
import type { Logger } from './platform/logger.ts';
import type { Metrics } from './platform/metrics.ts';
import { startWorkers } from './platform/queue.ts';
import type { Producer, Workers } from './platform/queue.ts';

interface Job {
  readonly data: z.ZodType<object>;
  /** Jobs of this name that one process runs at once. Each name has a queue of its own, so none delays another. */
  readonly concurrency: number;
  readonly attempts: number;
  /** The wait before the first retry, doubled for each next. */
  readonly backoffMs: number;
}

/** Jobs are hints: each names a thing whose rows say what is to be done, and may be lost or come twice. */
export const JOBS = {
  // Fifty, since they only wait for Agents Core.
  'secondme.invoke': {
    data: z.object({ invocation_id: InvocationId }),
    concurrency: 50,
    attempts: 5,
    backoffMs: 500,
  },
  'feed.fanout': {
    // One room a job is what earlier nodes added.
    data: z
      .union([z.object({ room_ids: z.array(RoomId) }), z.object({ room_id: RoomId })])
      .transform((given) => ({ room_ids: 'room_id' in given ? [given.room_id] : given.room_ids })),
    concurrency: 4,
    attempts: 5,
    backoffMs: 500,
  },
} as const satisfies Record<string, Job>;

export type JobName = keyof typeof JOBS;
export type JobData<Name extends JobName> = z.output<(typeof JOBS)[Name]['data']>;
export type JobHandlers = { [Name in JobName]: (data: JobData<Name>) => Promise<void> };

/**
 * Adds a job; while one with this id exists, nothing is added. Rejects soon when Redis is away.
 * An id has no colon; `delay` in milliseconds.
 */
export type Enqueue = <Name extends JobName>(
  name: Name,
  data: JobData<Name>,
  options: { jobId: string; delay?: number },
) => Promise<void>;

export const JOB_NAMES = Object.keys(JOBS) as JobName[];

/** `enqueue` over a producer that has the queues JOB_NAMES. */
export function createEnqueue(producer: Producer): Enqueue {
  return (name, data, options) => {
    const { attempts, backoffMs } = JOBS[name];
    return producer.add(name, data, { ...options, attempts, backoffMs });
  };
}

interface JobsDeps {
  redisUrl: string;
  handlers: JobHandlers;
  log: Logger;
  metrics: Metrics;
}

/** Starts the workers of all jobs. */
export function startJobs({ redisUrl, handlers, log, metrics }: JobsDeps): Workers {
  const specOf = <Name extends JobName>(name: Name) => ({
    queue: name,
    concurrency: JOBS[name].concurrency,
    async run(given: unknown) {
      const data = JOBS[name].data.safeParse(given);
      if (!data.success) {
        log.error({ job: name, problem: z.prettifyError(data.error) }, 'a job with wrong data was dropped');
        metrics.jobs.inc({ job: name, outcome: 'invalid' });
        return;
      }
      try {
        await handlers[name](data.data as JobData<Name>);
        metrics.jobs.inc({ job: name, outcome: 'ok' });
      } catch (error) {
        metrics.jobs.inc({ job: name, outcome: 'failed' });
        throw error;
      }
    },
  });
  return startWorkers(redisUrl, JOB_NAMES.map(specOf), log);
}
