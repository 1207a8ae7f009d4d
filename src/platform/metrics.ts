/** What the process counts, for /metrics. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/**
 * How often the event loop's lag is looked at, and what it reads of a loop that is never late. Every 10 ms cost 8 ms of
 * CPU a second.
 */
const LOOP_LOOK_MS = 50;

export type Metrics = ReturnType<typeof createMetrics>;

/** A registry of its own for each node, so that several nodes can live in one process. */
export function createMetrics() {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_LOOK_MS });
  return {
    registry,
    requests: new Histogram({
      name: 'city_http_request_seconds',
      help: 'REST calls by route and status',
      labelNames: ['route', 'status'],
      buckets: [0.005, 0.025, 0.1, 0.5, 2.5, 10, 30],
      registers,
    }),
    events: new Counter({
      name: 'city_socket_events_total',
      help: 'Socket events by name and outcome (ok or the error code)',
      labelNames: ['event', 'outcome'],
      registers,
    }),
    sockets: new Gauge({
      name: 'city_sockets',
      help: 'Live sockets by namespace',
      labelNames: ['namespace'],
      registers,
    }),
    appendBatch: new Histogram({
      name: 'city_append_batch_size',
      help: 'Changes in one commit of the room log',
      buckets: [1, 2, 5, 10, 50, 200],
      registers,
    }),
    appendFailures: new Counter({
      name: 'city_append_failures_total',
      help: 'Batches of the room log that failed',
      registers,
    }),
    delivered: new Counter({
      name: 'city_changes_delivered_total',
      help: 'Room changes handed to local subscribers, by how the node learned of them',
      labelNames: ['source'],
      registers,
    }),
    catchUps: new Counter({
      name: 'city_room_catch_ups_total',
      help: "Times that a room's log was read because news of a change was missing",
      registers,
    }),
    snapshots: new Counter({
      name: 'city_room_snapshots_total',
      help: 'Reads of a room and a slice of its log; one serves everybody who asks for the same at the same time',
      registers,
    }),
    lostNews: new Counter({
      name: 'city_news_lost_total',
      help: 'Announcements that Redis did not take',
      registers,
    }),
    slowReaders: new Counter({
      name: 'city_slow_readers_cut_total',
      help: 'Connections cut because they did not read what they were sent',
      registers,
    }),
    refusals: new Counter({
      name: 'city_limit_refusals_total',
      help: 'What was refused because of a limit or a cap',
      labelNames: ['limit'],
      registers,
    }),
    limitsAlone: new Counter({
      name: 'city_limits_alone_total',
      help: 'Limits that this node had to decide without Redis',
      labelNames: ['limit'],
      registers,
    }),
    invocations: new Counter({
      name: 'city_invocations_total',
      help: 'Finished Second Me invocations by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    jobs: new Counter({
      name: 'city_jobs_total',
      help: 'Jobs by name and outcome',
      labelNames: ['job', 'outcome'],
      registers,
    }),
  };
}
