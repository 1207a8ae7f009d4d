/** Every call and every event by everybody: what the policy decided, against a real node; nothing goes undecided. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ulid } from 'ulid';
import { CALLS } from '../../src/auth/policy.ts';
import type { CallName } from '../../src/auth/policy.ts';
import type { Role } from '../../src/contract/auth.ts';
import { NAMESPACES } from '../../src/contract/events.ts';
import { REST } from '../../src/contract/rest.ts';
import type { RestCall, RestName } from '../../src/contract/rest.ts';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import { createRest } from '../support/rest.ts';
import { connect } from '../support/sockets.ts';
import type { TestSocket } from '../support/sockets.ts';
import { forge, now } from '../support/tokens.ts';

const SECRET = 'a-secret-of-the-walk-that-is-long-enough-0123';

/** Who comes along; `none` and `expired` have no token that counts. */
const ACTORS = [
  'none',
  'expired',
  'outsider',
  'member',
  'banned',
  'muted',
  'moderator',
  'admin',
  'service',
] as const;
type Actor = (typeof ACTORS)[number];
const NO_TOKEN: Actor[] = ['none', 'expired'];
const ROLES: Partial<Record<Actor, Role[]>> = {
  moderator: ['moderator'],
  admin: ['admin'],
  service: ['service'],
};
const idOf = (actor: Actor) => (actor === 'service' ? 'svc_service' : `u_${actor}`);

/** Who is refused; everybody with a token else is answered `ok`, or the code that `but` says for the call. */
interface Decision {
  forbidden: Actor[];
  /** Whether it works without a token. */
  open?: boolean;
  /** What those who may get here for want of a counterpart. */
  but?: string;
}
const everyone: Decision = { forbidden: [] };
const notBanned: Decision = { forbidden: ['banned'] };
const mayWrite: Decision = { forbidden: ['banned', 'muted'] };
const moderators: Decision = { forbidden: ['outsider', 'member', 'banned', 'muted', 'service'] };
const open: Decision = { forbidden: [], open: true };
/** What is another's: nobody but those named gets through. */
const only = (...actors: Actor[]): Decision => ({
  forbidden: ACTORS.filter((actor) => !NO_TOKEN.includes(actor) && !actors.includes(actor)),
});

const EXPECTED: Record<CallName, Decision> = {
  live: open,
  ready: open,
  openapi: open,
  asyncapi: open,
  devToken: open,
  listRooms: everyone,
  createRoom: everyone,
  getRoom: notBanned,
  updateRoom: only('moderator', 'admin'),
  deleteRoom: only('admin'),
  moderate: moderators,
  moderationLog: moderators,
  report: notBanned,
  listReports: moderators,
  handleReport: moderators,
  listMessages: notBanned,
  sendMessage: mayWrite,
  editMessage: only(),
  deleteMessage: only('moderator', 'admin'),
  joinRoom: notBanned,
  leaveRoom: everyone,
  listMembers: notBanned,
  markRead: notBanned,
  listFeed: everyone,
  home: everyone,
  listPresence: everyone,
  getPresence: everyone,
  invoke: everyone,
  getInvocation: { forbidden: [], but: 'not_found' },
  cancelInvocation: { forbidden: [], but: 'not_found' },
  history: everyone,
  profile: everyone,
  clearHistory: everyone,
  setMatrixPresence: { forbidden: [], but: 'matrix_unavailable' },
  logoutEverywhere: everyone,
  exportMe: everyone,
  eraseMe: everyone,
  inspectRooms: only('admin'),
  'room.join': notBanned,
  'room.leave': everyone,
  'room.message.send': mayWrite,
  'room.message.edit': only(),
  'room.message.delete': only('moderator', 'admin'),
  'room.typing': mayWrite,
  'room.read': notBanned,
  'feed.subscribe': everyone,
  'feed.unsubscribe': everyone,
  'secondme.invoke': everyone,
  'secondme.cancel': { forbidden: [], but: 'not_found' },
  'auth.refresh': everyone,
  'presence.heartbeat': everyone,
  'presence.offline': everyone,
  'presence.subscribe': notBanned,
  'presence.unsubscribe': everyone,
};

let city: City;
/** Somebody else, who made the room and wrote in it. */
let owner: ReturnType<typeof createRest>;
let admin: ReturnType<typeof createRest>;
let rooms = 0;
beforeAll(async () => {
  city = await startCity({ env: { JWT_SECRET: SECRET } });
  owner = createRest(city.url(), tokenOf('u_owner'));
  admin = createRest(city.url(), tokenOf('u_chief', ['admin']));
});
afterAll(() => city.stop());

function tokenOf(sub: string, roles: Role[] = ['citizen'], exp = now() + 3600): string {
  return forge({ sub, roles, exp, iat: now() }, SECRET);
}
const tokenFor = (actor: Actor) => {
  if (actor === 'none') return undefined;
  return tokenOf(idOf(actor), ROLES[actor], actor === 'expired' ? now() - 60 : undefined);
};

/** A room of the owner's with a message, in which `actor` is what the name says. */
async function prepare(actor: Actor) {
  const slug = `walk-${rooms++}`;
  const room_id = (await owner('POST', '/city/rooms', { name: slug, slug })).body.id as string;
  const message_id = (await owner('POST', `/city/rooms/${slug}/messages`, { body: 'theirs' })).body.id;
  const moderate = (action: string) =>
    admin('POST', `/city/rooms/${slug}/moderation`, { action, user_id: idOf(actor) });
  const restricted = { banned: 'ban', muted: 'mute' } as Partial<Record<Actor, string>>;
  const token = tokenFor(actor);
  if (actor === 'member' || actor === 'muted')
    await createRest(city.url(), token)('POST', `/city/rooms/${slug}/join`);
  if (restricted[actor]) expect((await moderate(restricted[actor])).status).toBe(200);
  return { room_id, message_id, token };
}
type Scene = Awaited<ReturnType<typeof prepare>>;

const INVOCATION = `sminv_${ulid()}`;
const makeReport = async ({ room_id, message_id }: Scene) => {
  const { body } = await owner('POST', '/city/reports', { room_id, message_id, reason: 'look at this' });
  return body.id as string;
};

/** The path parameters and the body of each call that takes any. */
const INPUTS: Partial<
  Record<
    RestName,
    (scene: Scene) => Promise<{ params?: object; body?: object }> | { params?: object; body?: object }
  >
> = {
  createRoom: () => ({ body: { name: `Made ${rooms++}` } }),
  updateRoom: () => ({ body: { description: 'changed' } }),
  moderate: () => ({ body: { action: 'kick', user_id: 'u_somebody' } }),
  report: ({ room_id, message_id }) => ({ body: { room_id, message_id, reason: 'bad' } }),
  handleReport: async (scene) => ({ params: { id: await makeReport(scene) }, body: { status: 'dismissed' } }),
  sendMessage: () => ({ body: { body: 'mine' } }),
  editMessage: ({ message_id }) => ({ params: { id: message_id }, body: { body: 'changed' } }),
  deleteMessage: ({ message_id }) => ({ params: { id: message_id } }),
  markRead: () => ({ body: { seq: 1 } }),
  getPresence: () => ({ params: { user_id: 'u_owner' } }),
  invoke: () => ({ body: { prompt: 'who am I?' } }),
  getInvocation: () => ({ params: { id: INVOCATION } }),
  cancelInvocation: () => ({ params: { id: INVOCATION } }),
  setMatrixPresence: () => ({
    body: { matrix_user_id: '@a:b.example', access_token: 'x', status: 'online' },
  }),
  devToken: () => ({ body: { user_id: 'u_new' } }),
};

async function call(name: RestName, scene: Scene): Promise<string> {
  const { method, path }: RestCall = REST[name];
  const { params, body } = (await INPUTS[name]?.(scene)) ?? {};
  const values: Record<string, string> = { room_id: scene.room_id, ...params };
  const at = path.replace(/:(\w+)/g, (_, key: string) => values[key]!);
  const headers = name === 'invoke' ? { Prefer: 'respond-async' } : {};
  const answer = await createRest(city.url(), scene.token)(method.toUpperCase(), at, body, headers);
  return answer.status < 300 ? 'ok' : answer.body.code;
}

const PAYLOADS: Record<string, (scene: Scene) => object> = {
  'room.message.send': ({ room_id }) => ({ room_id, body: 'mine' }),
  'room.message.edit': ({ room_id, message_id }) => ({ room_id, message_id, body: 'changed' }),
  'room.message.delete': ({ room_id, message_id }) => ({ room_id, message_id }),
  'room.typing': ({ room_id }) => ({ room_id, typing: true }),
  'room.read': ({ room_id }) => ({ room_id, seq: 1 }),
  'room.join': ({ room_id }) => ({ room_id }),
  'room.leave': ({ room_id }) => ({ room_id }),
  'feed.subscribe': () => ({ scope: 'city' }),
  'feed.unsubscribe': () => ({ scope: 'city' }),
  'secondme.invoke': () => ({ prompt: 'who am I?' }),
  'secondme.cancel': () => ({ invocation_id: INVOCATION }),
  'auth.refresh': ({ token }) => ({ token }),
  'presence.heartbeat': () => ({}),
  'presence.offline': () => ({}),
  'presence.subscribe': ({ room_id }) => ({ room_ids: [room_id] }),
  'presence.unsubscribe': ({ room_id }) => ({ room_ids: [room_id] }),
};

async function send(namespace: string, name: string, scene: Scene): Promise<string> {
  let socket: TestSocket;
  try {
    socket = await connect(city.url() + namespace, scene.token);
  } catch (refusal) {
    return (refusal as { data: { code: string } }).data.code;
  }
  try {
    // Typing is for those who have the room open; who may not open it is refused for the better reason.
    if (name === 'room.typing') await socket.ack('room.join', { room_id: scene.room_id });
    const { ok, error } = await socket.ack(name, PAYLOADS[name]!(scene));
    return ok ? 'ok' : error.code;
  } finally {
    socket.close();
  }
}

function decided(name: CallName, actor: Actor): string {
  const { forbidden, open: isOpen = false, but = 'ok' } = EXPECTED[name];
  if (NO_TOKEN.includes(actor)) return isOpen ? but : 'unauthenticated';
  return forbidden.includes(actor) ? 'forbidden' : but;
}
const decisionsOn = (name: CallName) =>
  Object.fromEntries(ACTORS.map((actor) => [actor, decided(name, actor)]));

const EVENTS = Object.entries(NAMESPACES).flatMap(([namespace, { client }]) =>
  Object.keys(client).map((name) => [namespace, name as CallName] as const),
);

it('decides on everything that there is, and on nothing that there is not', () => {
  const there = [...Object.keys(REST), ...EVENTS.map(([, name]) => name)];
  expect(Object.keys(EXPECTED).sort()).toEqual([...new Set(there)].sort());
  expect(Object.keys(CALLS).sort()).toEqual(Object.keys(EXPECTED).sort());
});

describe('REST', () => {
  const names = (Object.keys(REST) as RestName[]).filter(
    (name) => !['logoutEverywhere', 'eraseMe'].includes(name),
  );
  it.each(names)('%s', async (name) => {
    const outcomes: Record<string, string> = {};
    for (const actor of ACTORS) outcomes[actor] = await call(name, await prepare(actor));
    expect(outcomes).toEqual(decisionsOn(name));
  });
});

describe('events', () => {
  it.each(EVENTS)('%s %s', async (namespace, name) => {
    const outcomes: Record<string, string> = {};
    for (const actor of ACTORS) outcomes[actor] = await send(namespace, name, await prepare(actor));
    expect(outcomes).toEqual(decisionsOn(name));
  });
});

it('logoutEverywhere, which makes every earlier token void', async () => {
  const outcomes: Record<string, string> = {};
  for (const actor of ACTORS) {
    outcomes[actor] = await call('logoutEverywhere', { room_id: '', message_id: '', token: tokenFor(actor) });
  }
  expect(outcomes).toEqual(decisionsOn('logoutEverywhere'));
});

it('eraseMe, which makes every earlier token void and lets nobody in until it is finished', async () => {
  const outcomes: Record<string, string> = {};
  for (const actor of ACTORS) {
    outcomes[actor] = await call('eraseMe', { room_id: '', message_id: '', token: tokenFor(actor) });
  }
  expect(outcomes).toEqual(decisionsOn('eraseMe'));
});
