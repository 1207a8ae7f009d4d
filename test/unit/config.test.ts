import { describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { DEVELOPMENT_SECRET } from '../../src/auth/secret.ts';
import { ConfigError, readConfig, readDatabaseUrl, readHealthUrl } from '../../src/config.ts';

const BASE = { DATABASE_URL: 'postgres://localhost/city', REDIS_URL: 'redis://localhost' };
const SECRET = 'x'.repeat(32);

/** The lines that refuse `env`; empty when it is accepted. */
function problems(env: Record<string, string>): string[] {
  try {
    readConfig({ ...BASE, ...env });
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.split('\n');
  }
}
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();

describe('readConfig', () => {
  it('has the defaults of the contract', () => {
    expect(readConfig(BASE)).toEqual({
      production: false,
      port: 7001,
      opsPort: 7091,
      serves: true,
      works: true,
      databaseUrl: BASE.DATABASE_URL,
      redisUrl: BASE.REDIS_URL,
      jwt: { key: { kind: 'secret', secret: DEVELOPMENT_SECRET }, issuer: undefined, audience: undefined },
      allowedOrigins: [],
      trustProxyHops: 0,
      rateLimits: true,
      rates: {
        send: 5,
        new_room: 2,
        join: 20,
        read: 20,
        typing: 20,
        presence: 20,
        invoke: 5,
        connect: 20,
        connect_address: 250,
        request_address: 500,
        event_address: 2_000,
        token_address: 250,
      },
      caps: {
        connectionsUser: 200,
        connectionsAddress: 3_000,
        unauthenticatedAddress: 1_000,
        roomsSocket: 500,
        subscriptionsSocket: 5_000,
      },
      secondMe: { agentId: 'ag_secondme_global', fallback: 'reply' },
      agents: { transport: 'http', url: undefined },
      matrixUrl: undefined,
      defaultRooms: ['general', 'welcome', 'builders'],
      filters: { words: [], links: 'off' },
      retention: { messagesDays: undefined, feedDays: undefined },
      logLevel: 'info',
      shutdownGraceMs: 25_000,
    });
  });

  it('takes an empty variable for an unset one', () => {
    const empty = { PORT: '', JWT_JWKS_URL: '', CITY_DEFAULT_ROOMS: '', ALLOWED_ORIGINS: '', JWT_SECRET: '' };
    expect(readConfig({ ...BASE, ...empty })).toEqual(readConfig(BASE));
    expect(problems({ DATABASE_URL: '' })).toEqual(['DATABASE_URL: is required']);
  });

  it('reads lists', () => {
    const config = readConfig({
      ...BASE,
      CITY_DEFAULT_ROOMS: 'lobby, night-shift',
      ALLOWED_ORIGINS: 'https://city.example,https://www.city.example:8443',
    });
    expect(config.defaultRooms).toEqual(['lobby', 'night-shift']);
    expect(config.allowedOrigins).toEqual(['https://city.example', 'https://www.city.example:8443']);
  });

  it.each([
    ['api', true, false],
    ['worker', false, true],
  ])('knows what ROLE=%s does', (ROLE, serves, works) => {
    expect(readConfig({ ...BASE, ROLE })).toMatchObject({ serves, works });
  });

  it.each([
    ['PORT', 'http'],
    ['PORT', '65536'],
    ['OPS_PORT', '-1'],
    ['ROLE', 'king'],
    ['NODE_ENV', 'staging'],
    ['DATABASE_URL', 'localhost:5432'],
    ['DATABASE_URL', 'mysql://localhost/city'],
    ['REDIS_URL', 'http://localhost'],
    ['REDIS_URL', 'redis://localhost/city'],
    ['REDIS_URL', 'redis://localhost/-1'],
    ['JWT_SECRET', 'x'.repeat(31)],
    ['JWT_JWKS_URL', 'file:///etc/keys'],
    ['JWT_PUBLIC_KEY', 'nonsense'],
    ['JWT_PUBLIC_KEY', '-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----'],
    ['ALLOWED_ORIGINS', '*'],
    ['ALLOWED_ORIGINS', 'https://city.example,https://city.example/path'],
    ['RATE_LIMITS', 'yes'],
    ['LIMIT_SEND', '0'],
    ['LIMIT_READ', '-5'],
    ['LIMIT_CONNECT_ADDRESS', '2.5'],
    ['MAX_CONNECTIONS_USER', 'many'],
    ['TRUST_PROXY_HOPS', 'true'],
    ['TRUST_PROXY_HOPS', '10'],
    ['SECONDME_AGENT_ID', 'secondme'],
    ['SECONDME_FALLBACK', 'none'],
    ['AGENTS_SERVICE_URL', 'agents:9000/x'],
    ['AGENTS_TRANSPORT', 'amqp'],
    ['NATS_URL', 'http://nats:4222'],
    ['NATS_URL', 'nats://one:4222,two:4222'],
    ['MATRIX_HOMESERVER_URL', 'matrix.example'],
    ['CITY_DEFAULT_ROOMS', 'general,No Such'],
    ['CITY_DEFAULT_ROOMS', 'Bad,Worse,Worst'],
    ['LOG_LEVEL', 'loud'],
    ['SHUTDOWN_GRACE_MS', '25s'],
  ])('refuses %s=%j in one line', (name, value) => {
    expect(problems({ [name]: value })).toEqual([expect.stringMatching(new RegExp(`^${name}: .{4,120}$`))]);
  });

  it('wants two ports where two are taken', () => {
    const problem = [expect.stringMatching(/^OPS_PORT: .*7091/)];
    expect(problems({ PORT: '7091' })).toEqual(problem);
    expect(problems({ PORT: '07091', OPS_PORT: '7091', ROLE: 'api' })).toEqual(problem);
    expect(problems({ PORT: '7091', ROLE: 'worker' })).toEqual([]);
    expect(problems({ PORT: '0', OPS_PORT: '0' })).toEqual([]);
  });

  it('names every problem at once, also those of several variables together', () => {
    const names = problems({ NODE_ENV: 'production', DATABASE_URL: '', REDIS_URL: '', PORT: 'x' });
    expect(names.map((line) => line.split(':')[0]).sort()).toEqual([
      'DATABASE_URL',
      'JWT_SECRET',
      'PORT',
      'REDIS_URL',
    ]);
  });

  it('shows no value of a secret or a URL', () => {
    const shown = problems({ JWT_SECRET: 'hunter2', DATABASE_URL: 'mysql://u:hunter2@h/c' }).join();
    expect(shown).not.toContain('hunter2');
  });

  it('wants one key, and in production one that nobody else knows', () => {
    const NODE_ENV = 'production';
    expect(problems({ NODE_ENV })).toEqual([expect.stringMatching(/^JWT_SECRET: /)]);
    expect(problems({ NODE_ENV, JWT_SECRET: DEVELOPMENT_SECRET })).toHaveLength(1);
    expect(problems({ NODE_ENV, JWT_SECRET: SECRET })).toEqual([]);
    expect(problems({ NODE_ENV, JWT_JWKS_URL: 'https://id.example/jwks' })).toEqual([]);
    expect(problems({ JWT_SECRET: SECRET, JWT_JWKS_URL: 'https://id.example/jwks' })).toHaveLength(1);
    expect(problems({ JWT_SECRET: 'ж'.repeat(16) })).toEqual([]); // bytes, not characters
  });

  it('takes a public key of the three algorithms, and no other', () => {
    const generate = [
      generateKeyPairSync('rsa', { modulusLength: 2048 }),
      generateKeyPairSync('ec', { namedCurve: 'P-256' }),
      generateKeyPairSync('ed25519'),
    ];
    for (const { publicKey } of generate) {
      const JWT_PUBLIC_KEY = pem(publicKey);
      const key = { kind: 'public_key', pem: JWT_PUBLIC_KEY };
      expect(readConfig({ ...BASE, JWT_PUBLIC_KEY }).jwt.key).toEqual(key);
      const escaped = JWT_PUBLIC_KEY.replaceAll('\n', '\\n');
      expect(readConfig({ ...BASE, JWT_PUBLIC_KEY: escaped }).jwt.key).toEqual(key);
    }
    const refused = [
      pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
      pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey),
      pem(generateKeyPairSync('x25519').publicKey),
      generate[2]!.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ];
    for (const JWT_PUBLIC_KEY of refused) {
      expect(problems({ JWT_PUBLIC_KEY })).toEqual([expect.stringMatching(/^JWT_PUBLIC_KEY: must be /)]);
    }
  });
});

it('reads DATABASE_URL alone', () => {
  expect(readDatabaseUrl({ DATABASE_URL: BASE.DATABASE_URL })).toBe(BASE.DATABASE_URL);
  expect(() => readDatabaseUrl({})).toThrow('DATABASE_URL: is required');
  expect(() => readDatabaseUrl({ DATABASE_URL: 'x' })).toThrow(/^DATABASE_URL: must be/);
});

it('knows where a node says whether it is ready', () => {
  expect(readHealthUrl({})).toBe('http://127.0.0.1:7001/health/ready');
  expect(readHealthUrl({ PORT: '80', ROLE: 'api' })).toBe('http://127.0.0.1:80/health/ready');
  expect(readHealthUrl({ PORT: '80', ROLE: 'worker' })).toBe('http://127.0.0.1:7091/health/ready');
});
