/** The configuration of one process: the schema of the environment, and the only reader of process.env. */
import { z } from 'zod';
import { readPublicKey } from './auth/public-key.ts';
import { DEVELOPMENT_SECRET } from './auth/secret.ts';
import { AgentId, Slug } from './contract/primitives.ts';

/** Where tokens are verified: one algorithm family per deployment. */
export type TokenKey =
  { kind: 'secret'; secret: string } | { kind: 'jwks'; url: string } | { kind: 'public_key'; pem: string };

const PORT = 7001;
const OPS_PORT = 7091;

const url = (...protocols: string[]) =>
  z.string().refine(
    (value) => {
      return URL.canParse(value) && protocols.includes(new URL(value).protocol);
    },
    `must be a URL with ${protocols.join(' or ')}//`,
  );

/** A comma list of them. */
const urls = (...protocols: string[]) =>
  z
    .string()
    .refine(
      (value) => value.split(',').every((one) => url(...protocols).safeParse(one.trim()).success),
      `must be a comma list of URLs with ${protocols.join(' or ')}//`,
    );

const port = (fallback: number) =>
  z
    .string()
    .default(String(fallback))
    .refine((value) => /^\d{1,5}$/.test(value) && Number(value) <= 65_535, 'must be a port, 0–65535')
    .transform(Number);

/** A database is named by its number; ioredis fails at every command where it is not. */
const redisUrl = url('redis:', 'rediss:').refine(
  (value) => !URL.canParse(value) || /^\/?\d*$/.test(new URL(value).pathname),
  'must name its database by number, as in redis://localhost/2',
);

/** A positive whole number. */
const count = (fallback: number) =>
  z
    .string()
    .default(String(fallback))
    .refine((value) => /^[1-9]\d{0,6}$/.test(value), 'must be a whole number from 1 to 9999999')
    .transform(Number);

/** Whole days; unset: for ever. */
const days = z
  .string()
  .refine(
    (value) => /^[1-9]\d{0,4}$/.test(value),
    'must be whole days, 1–99999; leave it out to keep everything',
  )
  .transform(Number)
  .optional();

const list = z
  .string()
  .default('')
  .transform((value) =>
    value
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean),
  );

const HOST = /^[\p{L}\p{N}](?:[\p{L}\p{N}.-]*[\p{L}\p{N}])?$/u;

/** `on`, `off`, or the hosts that links may lead to, as a URL spells them. */
const linkFilter = z
  .string()
  .default('off')
  .transform((value, context): 'on' | 'off' | string[] => {
    if (value === 'on' || value === 'off') return value;
    const hosts = value
      .split(',')
      .map((host) => host.trim())
      .filter(Boolean);
    if (hosts.every((host) => HOST.test(host) && URL.canParse(`https://${host}`))) {
      return hosts.map((host) => new URL(`https://${host}`).hostname);
    }
    context.addIssue({ code: 'custom', message: 'must be on, off or a comma list of hosts' });
    return z.NEVER;
  });

const Environment = z.object({
  NODE_ENV: z.enum(['production', 'development', 'test']).default('development'),
  PORT: port(PORT),
  OPS_PORT: port(OPS_PORT),
  ROLE: z.enum(['all', 'api', 'worker']).default('all'),
  DATABASE_URL: url('postgres:', 'postgresql:'),
  REDIS_URL: redisUrl,
  JWT_SECRET: z
    .string()
    .refine((value) => Buffer.byteLength(value) >= 32, 'must be at least 32 bytes')
    .optional(),
  JWT_JWKS_URL: url('https:', 'http:').optional(),
  JWT_PUBLIC_KEY: z
    .string()
    .transform((value) => value.replaceAll('\\n', '\n'))
    .superRefine((value, context) => {
      try {
        readPublicKey(value);
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message });
      }
    })
    .optional(),
  JWT_ISSUER: z.string().optional(),
  JWT_AUDIENCE: z.string().optional(),
  ALLOWED_ORIGINS: list.pipe(
    z.array(
      z.string().refine((value) => {
        return URL.canParse(value) && new URL(value).origin === value;
      }, 'must be a comma list of origins such as https://city.example'),
    ),
  ),
  TRUST_PROXY_HOPS: z
    .string()
    .default('0')
    .refine((value) => /^\d$/.test(value), 'must be the number of proxies in front, 0–9')
    .transform(Number),
  RATE_LIMITS: z.enum(['on', 'off']).default('on'),
  // A second, with bursts of four times that.
  LIMIT_SEND: count(5),
  LIMIT_NEW_ROOM: count(2),
  LIMIT_JOIN: count(20),
  LIMIT_READ: count(20),
  LIMIT_TYPING: count(20),
  LIMIT_PRESENCE: count(20),
  LIMIT_INVOKE: count(5),
  LIMIT_CONNECT: count(20),
  LIMIT_CONNECT_ADDRESS: count(250),
  LIMIT_REQUEST_ADDRESS: count(500),
  LIMIT_EVENT_ADDRESS: count(2_000),
  LIMIT_TOKEN_ADDRESS: count(250),
  // At once, on one node.
  MAX_CONNECTIONS_USER: count(200),
  MAX_CONNECTIONS_ADDRESS: count(3_000),
  MAX_UNAUTHENTICATED_ADDRESS: count(1_000),
  MAX_ROOMS_SOCKET: count(500),
  MAX_SUBSCRIPTIONS_SOCKET: count(5_000),
  SECONDME_AGENT_ID: AgentId.default('ag_secondme_global'),
  SECONDME_FALLBACK: z.enum(['reply', 'error']).default('reply'),
  AGENTS_SERVICE_URL: url('http:', 'https:').optional(),
  AGENTS_TRANSPORT: z.enum(['http', 'nats']).default('http'),
  NATS_URL: urls('nats:', 'tls:').optional(),
  MATRIX_HOMESERVER_URL: url('http:', 'https:').optional(),
  CITY_DEFAULT_ROOMS: list
    .pipe(z.array(Slug))
    .transform((slugs) => (slugs.length > 0 ? slugs : ['general', 'welcome', 'builders'])),
  FILTER_WORDS: list.pipe(
    z.array(
      z.string().regex(/[\p{L}\p{N}]/u, 'must be a comma list of words, each with a letter or a digit'),
    ),
  ),
  FILTER_LINKS: linkFilter,
  RETENTION_MESSAGES_DAYS: days,
  RETENTION_FEED_DAYS: days,
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  SHUTDOWN_GRACE_MS: z
    .string()
    .default('25000')
    .refine((value) => /^\d{1,6}$/.test(value), 'must be milliseconds')
    .transform(Number),
});

type Given = Record<string, string | undefined>;

/** What is wrong with the variables taken together, whatever else is wrong with each. */
function crossProblems(given: Given): string[] {
  const names = ['JWT_SECRET', 'JWT_JWKS_URL', 'JWT_PUBLIC_KEY'] as const;
  const keys = names.filter((name) => given[name] !== undefined);
  const production = given.NODE_ENV === 'production';
  const opsPort = Number(given.OPS_PORT ?? OPS_PORT);
  const shared = given.ROLE !== 'worker' && opsPort !== 0 && opsPort === Number(given.PORT ?? PORT);
  return [
    ...(shared ? [`OPS_PORT: must be another port than PORT, ${opsPort}`] : []),
    ...(keys.length > 1 ? [`${keys.join(', ')}: set exactly one of them`] : []),
    ...(production && keys.length === 0 ? [`JWT_SECRET: set it, or ${names[1]}, or ${names[2]}`] : []),
    ...(production && given.JWT_SECRET === DEVELOPMENT_SECRET
      ? ['JWT_SECRET: the development secret is not for production']
      : []),
    ...(given.AGENTS_TRANSPORT === 'nats' && given.NATS_URL === undefined
      ? ['NATS_URL: is required with AGENTS_TRANSPORT=nats']
      : []),
  ];
}

/** What stops a start that is configured wrongly; the message has one line for each problem. */
export class ConfigError extends Error {}

export type Config = ReturnType<typeof readConfig>;

/**
 * The configuration out of `env` (process.env unless a test gives its own). Empty variables count as unset.
 * @throws ConfigError with one readable line for each wrong or missing value
 */
export function readConfig(env: Given = process.env) {
  const given: Given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = Environment.safeParse(given);
  const problems = [
    ...(parsed.error?.issues ?? []).map(({ path: [name], message }) => {
      return `${String(name)}: ${String(name) in given ? message : 'is required'}`;
    }),
    ...crossProblems(given),
  ];
  if (!parsed.success || problems.length > 0) throw new ConfigError([...new Set(problems)].join('\n'));
  const e = parsed.data;
  const key: TokenKey = e.JWT_JWKS_URL
    ? { kind: 'jwks', url: e.JWT_JWKS_URL }
    : e.JWT_PUBLIC_KEY
      ? { kind: 'public_key', pem: e.JWT_PUBLIC_KEY }
      : { kind: 'secret', secret: e.JWT_SECRET ?? DEVELOPMENT_SECRET };
  return {
    production: e.NODE_ENV === 'production',
    port: e.PORT,
    opsPort: e.OPS_PORT,
    serves: e.ROLE !== 'worker',
    works: e.ROLE !== 'api',
    databaseUrl: e.DATABASE_URL,
    redisUrl: e.REDIS_URL,
    jwt: { key, issuer: e.JWT_ISSUER, audience: e.JWT_AUDIENCE },
    allowedOrigins: e.ALLOWED_ORIGINS,
    trustProxyHops: e.TRUST_PROXY_HOPS,
    rateLimits: e.RATE_LIMITS === 'on',
    rates: {
      send: e.LIMIT_SEND,
      new_room: e.LIMIT_NEW_ROOM,
      join: e.LIMIT_JOIN,
      read: e.LIMIT_READ,
      typing: e.LIMIT_TYPING,
      presence: e.LIMIT_PRESENCE,
      invoke: e.LIMIT_INVOKE,
      connect: e.LIMIT_CONNECT,
      connect_address: e.LIMIT_CONNECT_ADDRESS,
      request_address: e.LIMIT_REQUEST_ADDRESS,
      event_address: e.LIMIT_EVENT_ADDRESS,
      token_address: e.LIMIT_TOKEN_ADDRESS,
    },
    caps: {
      connectionsUser: e.MAX_CONNECTIONS_USER,
      connectionsAddress: e.MAX_CONNECTIONS_ADDRESS,
      unauthenticatedAddress: e.MAX_UNAUTHENTICATED_ADDRESS,
      roomsSocket: e.MAX_ROOMS_SOCKET,
      subscriptionsSocket: e.MAX_SUBSCRIPTIONS_SOCKET,
    },
    secondMe: { agentId: e.SECONDME_AGENT_ID, fallback: e.SECONDME_FALLBACK },
    agents: {
      transport: e.AGENTS_TRANSPORT,
      url: e.AGENTS_TRANSPORT === 'nats' ? e.NATS_URL : e.AGENTS_SERVICE_URL,
    },
    matrixUrl: e.MATRIX_HOMESERVER_URL,
    defaultRooms: e.CITY_DEFAULT_ROOMS,
    filters: { words: e.FILTER_WORDS, links: e.FILTER_LINKS },
    retention: { messagesDays: e.RETENTION_MESSAGES_DAYS, feedDays: e.RETENTION_FEED_DAYS },
    logLevel: e.LOG_LEVEL,
    shutdownGraceMs: e.SHUTDOWN_GRACE_MS,
  };
}

/**
 * DATABASE_URL alone, for the commands that need nothing else.
 * @throws ConfigError
 */
export function readDatabaseUrl(env: Given = process.env): string {
  const parsed = Environment.shape.DATABASE_URL.safeParse(env.DATABASE_URL || undefined);
  if (parsed.success) return parsed.data;
  throw new ConfigError(
    `DATABASE_URL: ${env.DATABASE_URL ? parsed.error.issues[0]!.message : 'is required'}`,
  );
}

/** Where the node of this environment answers whether it is ready: a worker has only its OPS_PORT. */
export function readHealthUrl(env: Given = process.env): string {
  const port = env.ROLE === 'worker' ? env.OPS_PORT || OPS_PORT : env.PORT || PORT;
  return `http://127.0.0.1:${port}/health/ready`;
}
