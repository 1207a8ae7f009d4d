/** The composition root: the only place that constructs. Reads from top to bottom like the story of a node. */
import type { Express } from 'express';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAgentsCore } from './agents-core/create-agents-core.ts';
import { createAuthorise } from './auth/authorise.ts';
import { devTokenRoute, logoutRoute } from './auth/auth.routes.ts';
import { createHttpAuth } from './auth/http.auth.ts';
import { createLogouts } from './auth/logouts.ts';
import { attachTokenRefresh, createSocketAuth } from './auth/socket.auth.ts';
import { createTokens } from './auth/tokens.ts';
import type { Config } from './config.ts';
import { PRESENCE_CLIENT_EVENTS, ROOMS_CLIENT_EVENTS } from './contract/events.ts';
import { createFeedHub } from './feed/feed.hub.ts';
import { createFeedJob } from './feed/feed.job.ts';
import { feedRoutes } from './feed/feed.routes.ts';
import { createFeed } from './feed/feed.service.ts';
import { attachFeed } from './feed/feed.socket.ts';
import { feedSections, forgetTimeline } from './feed/personal.ts';
import { homeRoutes } from './home/home.routes.ts';
import { inspectRoutes } from './inspect/inspect.routes.ts';
import { createInspect } from './inspect/inspect.service.ts';
import { createEnqueue, JOB_NAMES, startJobs } from './jobs.ts';
import { matrixRoutes } from './matrix/matrix.routes.ts';
import { createMatrixClient } from './matrix/matrix.client.ts';
import { createEraser } from './me/eraser.ts';
import { createErasures } from './me/erasures.ts';
import { createExports } from './me/export.ts';
import { meRoutes } from './me/me.routes.ts';
import { messageRoutes } from './messages/messages.routes.ts';
import { createMessages } from './messages/messages.service.ts';
import { attachMessages } from './messages/messages.socket.ts';
import { forgetMessages, messageSections } from './messages/personal.ts';
import { createTyping } from './messages/typing.ts';
import { createFilters } from './moderation/filters.ts';
import { createModerationLog } from './moderation/moderation.log.ts';
import { moderationRoutes } from './moderation/moderation.routes.ts';
import { createModeration } from './moderation/moderation.service.ts';
import { forgetModeration, moderationSections } from './moderation/personal.ts';
import { createRemovals } from './moderation/removals.ts';
import { createReports } from './moderation/reports.service.ts';
import { createAddresses } from './platform/addresses.ts';
import { createAdmission } from './platform/admission.ts';
import { createHandshakePace } from './platform/handshake-pace.ts';
import { createDb } from './platform/db.ts';
import type { Db } from './platform/db.ts';
import { docRoutes, serveDocs } from './platform/docs.ts';
import { drainSockets } from './platform/drain.ts';
import { AppError, isShutOut, isTemporary } from './platform/errors.ts';
import { createGateway, handshakeRefusal } from './platform/gateway.ts';
import { createHealth, healthRoutes } from './platform/health.ts';
import { createHttpApp, createRoutes, endWithProblems } from './platform/http.ts';
import { createHttpServer } from './platform/http-server.ts';
import { createIds } from './platform/ids.ts';
import { closeAdapters, createIo, SOCKETS_PATH, userChannel } from './platform/io.ts';
import type { AnySocket, PresenceSocket, RoomsSocket } from './platform/io.ts';
import { createLifecycle } from './platform/lifecycle.ts';
import { createLimits, UNLIMITED } from './platform/limits.ts';
import type { Logger } from './platform/logger.ts';
import { createMetrics } from './platform/metrics.ts';
import type { Metrics } from './platform/metrics.ts';
import { migrate } from './platform/migrate.ts';
import { createOpsServer } from './platform/ops.ts';
import { createOrigins } from './platform/origins.ts';
import { connectRedis } from './platform/redis.ts';
import { cutSlowReaders } from './platform/slow-readers.ts';
import { serveWebPage } from './platform/web-page.ts';
import { createNodeLease } from './presence/node-lease.ts';
import { createOccupancy } from './presence/occupancy.ts';
import { forgetPresence, presenceSections } from './presence/personal.ts';
import { presenceRoutes } from './presence/presence.routes.ts';
import { createPresence } from './presence/presence.service.ts';
import { attachPresence } from './presence/presence.socket.ts';
import { createProducer } from './platform/queue.ts';
import { createRetention } from './retention/retention.ts';
import { createRoomLog } from './room-log/room-log.ts';
import { COMMITS_MAX } from './room-log/writer.ts';
import { createRoomCare } from './rooms/care.service.ts';
import { forgetMemberships, forgetRooms, roomSections } from './rooms/personal.ts';
import { createRoomNotices } from './rooms/room-notices.ts';
import { roomRoutes } from './rooms/rooms.routes.ts';
import { createRooms } from './rooms/rooms.service.ts';
import { attachRooms } from './rooms/rooms.socket.ts';
import { createSubscriptions } from './rooms/subscriptions.ts';
import { deadInvocationRoutes } from './second-me/dead.routes.ts';
import { createDeadInvocations } from './second-me/dead.service.ts';
import { createMissedEnds } from './second-me/missed-ends.ts';
import { createForgetSecondMe, secondMeSections } from './second-me/personal.ts';
import { createSecondMeJob } from './second-me/second-me.job.ts';
import { createSecondMeNews } from './second-me/second-me.news.ts';
import { secondMeRoutes } from './second-me/second-me.routes.ts';
import { createSecondMe } from './second-me/second-me.service.ts';
import { attachSecondMe } from './second-me/second-me.socket.ts';
import { forgetProfile, profileSections } from './users/personal.ts';
import { createUsers } from './users/users.service.ts';
import { using, wrongDatabase, wrongPort, wrongRedis } from './wrong-values.ts';

/** One more than batches in flight: for the one that follows a connection that broke. */
const WRITER_CONNECTIONS = COMMITS_MAX + 1;
const DATABASE_PATIENCE_MS = 60_000;

export type App = ReturnType<typeof createApp>;

/** One node: everything that `config` asks for, not yet running. */
export function createApp(config: Config, log: Logger) {
  const lifecycle = createLifecycle(log);
  let publicPort = 0;
  let surface: (() => { express: Express; events: Record<string, string[]> }) | undefined;
  let drain = async () => {};

  const start = async () => {
    // ── what everything stands on
    const metrics = createMetrics();
    const newId = createIds();
    const db = createDb(config.databaseUrl, log);
    lifecycle.add('postgres', () => db.destroy());
    await using('DATABASE_URL', wrongDatabase, prepareDatabase(db, log));
    const redis = await using('REDIS_URL', wrongRedis, connectRedis(config.redisUrl, log));
    lifecycle.add('redis', () => redis.close());
    const { rateLimits: on, rates, caps } = config;
    const limits = on ? createLimits({ rates, redis, log, metrics }) : UNLIMITED;
    const health = createHealth({ db, redis });

    const origins = createOrigins({ allowed: config.allowedOrigins, production: config.production });
    // Engine.IO takes over the listeners that a server has when it is attached: the app must be one of them.
    const { app, direct, listener, classes } = createHttpApp({ log, metrics }, origins.allows);
    const http = createHttpServer(listener, { ...classes, webSockets: SOCKETS_PATH });
    const io = createIo(redis, metrics, log, config.serves ? http.server : undefined, (request) => {
      return !health.isDraining() && origins.admits(request);
    });
    if (config.serves) io.server.engine.use(createHandshakePace(metrics));
    lifecycle.add('adapters', () => closeAdapters(io));

    // ── the work behind the scenes
    const producer = createProducer(config.redisUrl, JOB_NAMES, log);
    lifecycle.add('job producer', () => producer.close());
    const enqueue = createEnqueue(producer);

    const dead = createDeadInvocations({ db, rooms: io.rooms, enqueue, newId, log });
    const routes = deadInvocationRoutes(dead);
    const ops = createOpsServer({ metrics, health, queues: producer.queues, routes, log });
    /** The last step of a start: who is asked whether it is ready has to be. */
    const openOps = async () => {
      if (config.opsPort === 0) return;
      await using('OPS_PORT', wrongPort, ops.listen(config.opsPort));
      lifecycle.add('ops server', () => ops.close());
    };

    const news = createSecondMeNews(io.rooms, log);
    const { agentId, fallback } = config.secondMe;
    if (config.works) {
      const agents = createAgentsCore({ ...config.agents, log });
      lifecycle.add('agents core', () => agents.close());
      const work = { db, rooms: io.rooms, redis, news, agents, enqueue, newId, log, metrics };
      const secondMeJob = createSecondMeJob({ ...work, agentId, fallback });
      const handlers = { 'secondme.invoke': secondMeJob.run, 'feed.fanout': createFeedJob({ db, log }) };
      const workers = startJobs({ redisUrl: config.redisUrl, handlers, log, metrics });
      secondMeJob.start();
      lifecycle.add('workers', async () => {
        const graceMs = config.shutdownGraceMs / 2;
        await Promise.all([workers.close(graceMs), secondMeJob.stop(graceMs * 0.8)]);
      });
      const forget = [
        createForgetSecondMe(news),
        forgetMessages,
        forgetRooms,
        forgetTimeline,
        forgetMemberships,
        forgetModeration,
        forgetProfile,
        forgetPresence,
      ];
      const eraser = createEraser({ db, redis, rooms: io.rooms, forget, log });
      eraser.start();
      lifecycle.add('eraser', () => eraser.stop());
      const retention = createRetention({ db, ...config.retention, log });
      retention.start();
      lifecycle.add('retention', () => retention.stop());
    }
    if (!config.serves) return openOps();

    // ── the city
    const tokens = createTokens(config.jwt);
    const users = createUsers({ db, log });
    const logouts = createLogouts({ db, namespace: io.rooms, log });
    const erasures = createErasures({ db, namespace: io.rooms, log });
    erasures.onChange(users.forget);
    const sections = [
      profileSections,
      presenceSections,
      roomSections,
      messageSections,
      feedSections,
      moderationSections,
      secondMeSections,
    ];
    const exports = createExports({ db, redis, sections: sections.flat() });
    const hub = createFeedHub({ db, rooms: io.rooms, log });
    const feed = createFeed({ db, log, newId, enqueue, nudge: hub.nudge });
    const secondMe = createSecondMe({ db, rooms: io.rooms, news, enqueue, newId, log, metrics, agentId });
    const missedEnds = createMissedEnds({ db, rooms: io.rooms, redis, news, log });
    const lease = createNodeLease({ redis, log });
    health.watchRedis(lease.isFresh);
    const occupancy = createOccupancy({ redis, lease, log });
    const presence = createPresence({
      redis,
      lease,
      namespace: io.presence,
      occupancy,
      log,
      metrics,
      namedMax: on ? caps.subscriptionsSocket : Infinity,
    });
    const filters = createFilters(config.filters);
    const moderationLog = createModerationLog({ db, newId });
    const rooms = createRooms({ db, users, feed, presence, occupancy, filters, metrics });

    // Appends must not queue behind a storm of reads.
    const writerDb = createDb(config.databaseUrl, log, WRITER_CONNECTIONS);
    lifecycle.add('writer connections', () => writerDb.destroy());
    const roomLog = createRoomLog({
      db,
      writerDb,
      rooms: io.rooms,
      log,
      metrics,
      onCommitted(changed) {
        hub.nudge();
        feed.hint(new Set(changed.map(({ room_id }) => room_id)));
      },
    });
    health.watchWrites(roomLog.refused);
    const name = () => `${hostname()}:${publicPort}`;
    const inspect = createInspect({ db, rooms: io.rooms, roomLog, name, log });
    const notices = createRoomNotices({ namespace: io.rooms, occupancy, users, log });
    const subscriptions = createSubscriptions({
      namespace: io.rooms,
      presence: io.presence,
      rooms,
      roomLog,
      occupancy,
      notices,
      log,
      metrics,
      roomsMax: on ? caps.roomsSocket : Infinity,
    });
    const messages = createMessages({ db, roomLog, users, newId, filters, moderationLog });
    const care = createRoomCare({
      db,
      rooms,
      subscriptions,
      feed,
      filters,
      moderationLog,
      defaultRooms: config.defaultRooms,
      log,
    });
    await care.ensureDefaults();
    const moderation = createModeration({ db, moderationLog, subscriptions });
    const reports = createReports({ db, newId, moderationLog });
    const removals = createRemovals({ db, subscriptions, log });
    const typing = createTyping(io.rooms, log);
    const matrix = createMatrixClient({ homeserverUrl: config.matrixUrl });
    lifecycle.add('matrix', () => matrix.close());

    // ── the edges: sockets
    const addressOf = createAddresses(config.trustProxyHops);
    const admission = createAdmission({ on, caps, limits, addressOf, metrics });
    admission.guard(io);
    const socketAuth = createSocketAuth({ tokens, users, logouts, erasures, admission });
    const edge = { log, metrics, limits, addressOf, authorise: createAuthorise({ db, users }) };
    const roomEvents = createGateway<RoomsSocket, typeof ROOMS_CLIENT_EVENTS>(ROOMS_CLIENT_EVENTS, edge);
    attachRooms({ gateway: roomEvents, rooms, subscriptions });
    attachMessages({ gateway: roomEvents, messages, typing, subscriptions });
    attachFeed({ gateway: roomEvents, hub });
    attachSecondMe({ gateway: roomEvents, secondMe });
    attachTokenRefresh(roomEvents, socketAuth);
    const presenceEvents = createGateway<PresenceSocket, typeof PRESENCE_CLIENT_EVENTS>(
      PRESENCE_CLIENT_EVENTS,
      edge,
    );
    attachPresence({ gateway: presenceEvents, presence });
    attachTokenRefresh(presenceEvents, socketAuth);

    // Nothing is served in the default namespace, and nobody is kept there.
    const elsewhere = new AppError('not_found', 'Connect to /rooms or /presence.');
    io.server.use((_socket, next) => next(handshakeRefusal(elsewhere)));
    io.rooms.use((socket, next) => void socketAuth.handshake(socket, next));
    io.presence.use((socket, next) => void socketAuth.handshake(socket, next));
    io.rooms.on('connection', (socket) => {
      void socket.join(userChannel(socket.data.caller.id));
      countSocket(metrics, '/rooms', socket);
      socketAuth.start(socket);
      subscriptions.attach(socket);
      roomEvents.attach(socket);
    });
    io.presence.on('connection', (socket) => {
      countSocket(metrics, '/presence', socket);
      socketAuth.start(socket);
      presenceEvents.attach(socket);
      presence
        .connect(socket)
        .catch((error: unknown) => log.error({ err: error }, 'a connection was not counted'));
    });

    // ── the edges: REST
    const httpEdge = { ...edge, authenticate: createHttpAuth({ tokens, users, logouts, erasures }) };
    const { route, mount } = createRoutes(httpEdge, direct);
    healthRoutes(route, health);
    docRoutes(route, config.production);
    roomRoutes(route, { rooms, care, occupancy, subscriptions });
    moderationRoutes(route, { moderation, reports, moderationLog });
    messageRoutes(route, messages);
    feedRoutes(route, feed);
    homeRoutes(route, { rooms, feed, presence, users });
    presenceRoutes(route, presence, users);
    secondMeRoutes(route, secondMe);
    matrixRoutes(route, { matrix, presence });
    logoutRoute(route, logouts);
    meRoutes(route, { erasures, exports });
    inspectRoutes(route, inspect);
    if (!config.production) devTokenRoute(route, tokens);
    mount(app);
    serveDocs(app);
    if (!serveWebPage(app, { development: !config.production }))
      log.info('the City page is not built; / answers 404');
    endWithProblems(app);
    surface = () => ({
      express: app,
      events: { '/rooms': roomEvents.names(), '/presence': presenceEvents.names() },
    });

    presence.onTransition((transition, roomIds) => {
      notices
        .presence(transition, roomIds)
        .catch((error: unknown) => log.warn({ err: error }, 'rooms were not told'));
    });
    occupancy.onMove((move) => {
      notices.moved(move).catch((error: unknown) => log.warn({ err: error }, 'a room was not told'));
    });

    // ── and it runs
    lifecycle.add('logouts', await logouts.start());
    lifecycle.add('erasures', await erasures.start());
    await lease.start();
    lifecycle.add('lease', () => lease.stop());
    await presence.start();
    lifecycle.add('presence', () => presence.stop());
    notices.start();
    lifecycle.add('room notices', () => notices.stop());
    typing.start();
    lifecycle.add('typing', () => typing.stop());
    subscriptions.start();
    removals.start();
    lifecycle.add('removals', () => removals.stop());
    care.start();
    lifecycle.add('care of rooms', () => care.stop());
    lifecycle.add('subscriptions', () => subscriptions.stop());
    hub.start();
    lifecycle.add('feed hub', () => hub.stop());
    await missedEnds.start();
    lifecycle.add('missed ends', () => missedEnds.stop());
    roomLog.start();
    inspect.start();
    lifecycle.add('room log', () => roomLog.stop());
    lifecycle.add('slow readers', cutSlowReaders(io.server, log, metrics));
    publicPort = await using('PORT', wrongPort, http.listen(config.port));
    lifecycle.add('http server', () => http.close());
    lifecycle.add('exports', () => exports.stop());
    await openOps();
    drain = async () => {
      health.drain();
      secondMe.stop();
      await drainSockets(io, config.shutdownGraceMs / 2);
      io.server.engine.close();
    };
    log.info({ port: publicPort }, 'the city is open');
  };

  return {
    start,
    /** Sends clients elsewhere, finishes what is under way, releases everything; within the configured grace. */
    async stop(): Promise<void> {
      const began = Date.now();
      await drain();
      // A second less than the grace: the last resources get some time however long the first ones take.
      await lifecycle.release(config.shutdownGraceMs - 1_000 - (Date.now() - began));
    },
    /** The port that the node listens on; 0 for a worker. */
    port: () => publicPort,
    /** What the node serves, for holding it against the contract. */
    surface: () => surface?.(),
  };
}

/**
 * Waits for PostgreSQL as long as an orchestrator may start it later than us, then brings the schema up to date. One that
 * does not let us in is not waited for.
 */
async function prepareDatabase(db: Db, log: Logger): Promise<void> {
  const deadline = Date.now() + DATABASE_PATIENCE_MS;
  for (;;) {
    try {
      return await migrate(db);
    } catch (error) {
      if (!isTemporary(error) || isShutOut(error) || Date.now() > deadline) throw error;
      log.warn({ err: error }, 'waiting for PostgreSQL');
      await sleep(1_000);
    }
  }
}

function countSocket(metrics: Metrics, namespace: string, socket: AnySocket): void {
  metrics.sockets.inc({ namespace });
  socket.on('disconnect', () => metrics.sockets.dec({ namespace }));
}
