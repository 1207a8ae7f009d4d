/** Whether this node is alive and may take traffic. */
import type { Db } from './db.ts';
import type { Route } from './http.ts';
import type { RedisLinks } from './redis.ts';

/** One look at PostgreSQL serves everybody who asks within this time. */
const REMEMBER_MS = 500;

export type Health = ReturnType<typeof createHealth>;

export function createHealth({ db, redis }: { db: Db; redis: RedisLinks }) {
  let draining = false;
  let looked = 0;
  let look = Promise.resolve(false);

  const postgresUp = () => {
    if (Date.now() - looked > REMEMBER_MS) {
      looked = Date.now();
      look = db.raw('select 1').then(
        () => true,
        () => false,
      );
    }
    return look;
  };

  return {
    drain(): void {
      draining = true;
    },
    isDraining: () => draining,
    /** 503 while draining or without PostgreSQL; without Redis the node is degraded and still takes traffic. */
    async ready() {
      const postgres = await postgresUp();
      const redisUp = redis.isUp();
      const status = draining ? 'draining' : !postgres ? 'unavailable' : redisUp ? 'ok' : 'degraded';
      return {
        status: draining || !postgres ? 503 : 200,
        body: { status, postgres: postgres ? 'up' : 'down', redis: redisUp ? 'up' : 'down' },
      };
    },
  };
}

export function healthRoutes(route: Route, health: Health): void {
  route('live', () => ({ body: { status: 'ok' } }));
  route('ready', () => health.ready());
}
