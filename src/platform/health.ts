/** Whether this node is alive and may take traffic. */
import type { Db } from './db.ts';
import { rows } from './db.ts';
import type { Route } from './http.ts';
import type { RedisLinks } from './redis.ts';

/** One look at PostgreSQL serves everybody who asks within this time. */
const REMEMBER_MS = 500;

type Postgres = 'up' | 'read_only' | 'down';

export type Health = ReturnType<typeof createHealth>;

export function createHealth({ db, redis }: { db: Db; redis: RedisLinks }) {
  let draining = false;
  /** Monotonic, milliseconds. */
  let looked = -Infinity;
  let look = Promise.resolve<Postgres>('down');
  let writesRefused = () => false;
  let redisServes = () => true;

  const lookAtPostgres = () => {
    if (performance.now() - looked > REMEMBER_MS) {
      looked = performance.now();
      look = rows<{ ro: boolean }>(db, "select current_setting('transaction_read_only')::boolean ro").then(
        ([found]) => (found?.ro ? 'read_only' : 'up'),
        () => 'down',
      );
    }
    return look;
  };

  return {
    drain(): void {
      draining = true;
    },
    isDraining: () => draining,
    /** Has `refused` say whether writes were refused lately: a full disk shows in no read. */
    watchWrites(refused: () => boolean): void {
      writesRefused = refused;
    },
    /** Has `serves` say whether Redis did its work lately: one that refuses it may well be connected to. */
    watchRedis(serves: () => boolean): void {
      redisServes = serves;
    },
    /**
     * 503 while draining or without PostgreSQL. Without Redis, or while PostgreSQL takes no writes, the node is
     * degraded and still takes traffic: no other node could do better.
     */
    async ready() {
      const seen = await lookAtPostgres();
      const postgres: Postgres = seen === 'up' && writesRefused() ? 'read_only' : seen;
      const redisUp = redis.isUp() && redisServes();
      const whole = postgres === 'up' && redisUp;
      const down = postgres === 'down';
      const status = draining ? 'draining' : down ? 'unavailable' : whole ? 'ok' : 'degraded';
      return {
        status: draining || down ? 503 : 200,
        body: { status, postgres, redis: redisUp ? 'up' : 'down' },
      };
    },
  };
}

export function healthRoutes(route: Route, health: Health): void {
  route('live', () => ({ body: { status: 'ok' } }));
  route('ready', () => health.ready());
}
