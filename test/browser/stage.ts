/** What a browser test plays on: two nodes from the build, each behind a line that can be cut, and a Chromium. */
import { randomUUID } from 'node:crypto';
import type { Browser } from 'playwright-core';
import { freePort } from '../../dev/services/programs.ts';
import type { Role } from '../../src/contract/auth.ts';
import { startProcess, untilReady } from '../support/processes.ts';
import { startProxy } from '../support/proxy.ts';
import type { Proxy } from '../support/proxy.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import { startAgents } from './agents.ts';
import type { Agents } from './agents.ts';
import { launchChromium } from './chromium.ts';
import { userIdFor } from '../../web/src/text.ts';
import { enter } from './visitor.ts';
import type { Faults, Visit, Visitor } from './visitor.ts';

const NODES = 2;

interface Person {
  name: string;
  roles?: Role[];
}

/** A visit to a node, or through a line. */
type Where = Omit<Visit, 'url' | 'browser' | 'faults'> & { node?: number; line?: Proxy };

export interface Stage {
  agents: Agents;
  /** The address of a node, past any line. */
  url(node?: number): string;
  /** A line of its own to a node. */
  line(node?: number): Promise<Proxy>;
  /** A browser at a node, before the sign-in. */
  arrive(visit?: Where): Promise<Visitor>;
  /** A person's browser at a node, signed in. */
  visit(person: Person, visit?: Where): Promise<Visitor>;
  /** REST as a person, by the token that the development sign-in gives. */
  rest(userId: string, person?: Partial<Person>, node?: number): Promise<ReturnType<typeof createRest>>;
  token(userId: string, person?: Partial<Person>): Promise<string>;
  /** A room of the test's own; its slug. */
  room(name: string, slug?: string): Promise<string>;
  /** Sends messages to a room one after another, as a person who needs no page. */
  write(slug: string, name: string, bodies: readonly string[], node?: number): Promise<{ id: string }[]>;
  /** Sends many messages to a room at once, over one socket. */
  flood(slug: string, name: string, bodies: readonly string[], node?: number): Promise<void>;
  /** What the messages of a room say, from the first; '' for a deleted one. */
  stored(slug: string): Promise<string[]>;
  /** Closes every visit since the last call; what went wrong in their consoles. */
  clear(): Promise<string[]>;
  close(): Promise<void>;
}

export interface Services {
  databaseUrl: string;
  redisUrl: string;
  /** Added to the nodes' environment. */
  env?: Record<string, string>;
}

/** Starts all of it on the given services, or nothing at all. */
export async function startStage({ databaseUrl, redisUrl, env = {} }: Services): Promise<Stage> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const agents = await startAgents();
    closers.push(() => agents.stop());
    const secret = randomUUID();
    const nodes = await Promise.all(
      Array.from({ length: NODES }, async () => {
        const port = await freePort();
        const city = startProcess({
          NODE_ENV: 'test', // the sign-in of development exists
          PORT: String(port),
          OPS_PORT: '0',
          DATABASE_URL: databaseUrl,
          REDIS_URL: redisUrl,
          JWT_SECRET: secret,
          AGENTS_SERVICE_URL: agents.url,
          LOG_LEVEL: 'warn',
          ...env,
        });
        closers.push(async () => {
          city.child.kill('SIGKILL');
          await city.exited;
        });
        const url = `http://127.0.0.1:${port}`;
        await untilReady(url, city);
        return { url, port };
      }),
    );
    const browser = await launchChromium();
    closers.push(() => browser.close());
    return { ...act(nodes, browser, agents), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function act(
  nodes: readonly { url: string; port: number }[],
  browser: Browser,
  agents: Agents,
): Omit<Stage, 'close'> {
  const visits: { visitor: Visitor; faults: Faults }[] = [];
  const lines: Proxy[] = [];
  const url = (node = 0) => nodes[node]!.url;

  const tokens = new Map<string, Promise<string>>();
  const token: Stage['token'] = (userId, person = {}) => {
    const key = JSON.stringify([userId, person]);
    if (!tokens.has(key)) tokens.set(key, newToken(userId, person));
    return tokens.get(key)!;
  };
  const newToken = async (userId: string, { name, roles }: Partial<Person>): Promise<string> => {
    const { status, body } = await createRest(url(), undefined)('POST', '/auth/dev-token', {
      user_id: userId,
      ...(name && { name }),
      ...(roles && { roles }),
    });
    if (status !== 201) throw new Error(`no token for ${userId}: ${status} ${JSON.stringify(body)}`);
    return body.token;
  };
  const rest: Stage['rest'] = async (userId, person, node = 0) =>
    createRest(url(node), await token(userId, person));

  const arrive: Stage['arrive'] = async ({ node = 0, line, ...visit } = {}) => {
    const faults: Faults = { seen: [], networkExpected: false };
    const visitor = await enter({
      ...visit,
      browser,
      faults,
      url: line ? `http://127.0.0.1:${line.port}` : url(node),
    });
    visits.push({ visitor, faults });
    return visitor;
  };

  return {
    agents,
    url,
    token,
    rest,
    async line(node = 0) {
      const line = await startProxy(nodes[node]!.port);
      lines.push(line);
      return line;
    },
    arrive,
    async visit({ name, roles }, where) {
      const visitor = await arrive(where);
      if (roles) await visitor.signInWith(await token(userIdFor(name), { name, roles }));
      else await visitor.signInAs(name);
      return visitor;
    },
    async room(name, slug = `r-${randomUUID().slice(0, 8)}`) {
      const admin = await rest('u_admin', { name: 'Адміністратор', roles: ['admin'] });
      const { status, body } = await admin('POST', '/city/rooms', { name, slug });
      if (status !== 201) throw new Error(`no room: ${status} ${JSON.stringify(body)}`);
      return slug;
    },
    async write(slug, name, bodies, node = 0) {
      const send = await rest(userIdFor(name), { name }, node);
      const written: { id: string }[] = [];
      for (const body of bodies) {
        const answer = await send('POST', `/city/rooms/${slug}/messages`, { body });
        if (answer.status !== 201) throw new Error(`not sent: ${JSON.stringify(answer.body)}`);
        written.push(answer.body);
      }
      return written;
    },
    async flood(slug, name, bodies, node = 0) {
      const socket = await connect(`${url(node)}/rooms`, await token(userIdFor(name), { name }));
      await Promise.all(bodies.map((body) => socket.call('room.message.send', { room_id: slug, body })));
      socket.close();
    },
    async stored(slug) {
      const reader = await rest('u_reader');
      const bodies: string[] = [];
      for (let after = 0, more = true; more;) {
        const { body } = await reader('GET', `/city/rooms/${slug}/messages?after_seq=${after}&limit=200`);
        const page = body as { messages: { seq: number; body: string }[]; has_more: boolean };
        bodies.push(...page.messages.map((message) => message.body));
        after = page.messages.at(-1)?.seq ?? after;
        more = page.has_more;
      }
      return bodies;
    },
    async clear() {
      const ended = visits.splice(0);
      await Promise.all(ended.map(({ visitor }) => visitor.close()));
      await Promise.all(lines.splice(0).map((line) => line.close()));
      return ended.flatMap(({ faults }) => faults.seen);
    },
  };
}
