/** Bad events: names, arity, payloads, binary attachments, depth, and the order of coming and going. */
import { io } from 'socket.io-client';
import { connect } from '../support/sockets.ts';
import { until } from '../support/until.ts';
import { tokenOf } from './city.ts';
import type { CorpusCity } from './city.ts';
import { emit, emitPresence, eventCases, frames, packet } from './events.ts';
import type { EventRow } from './events.ts';
import { BAD_TOKENS } from './tokens.cases.ts';
import { enter, frame } from './wire.ts';

const ULID = '01JCZ6YB8Q4T0000000000000A';
const room_id = 'general';
const message_id = `m_city_${ULID}`;
const INVALID = 'invalid';
const SEND = 'room.message.send';
const binary = (bytes: string) => frame(Buffer.from(bytes), { opcode: 2 });
const lists = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
const objects = (levels: number) => '{"a":'.repeat(levels) + '1' + '}'.repeat(levels);

const names: EventRow[] = (
  ['disconnect', 'connect', 'connect_error', 'disconnecting', 'newListener', 'removeListener'] as const
).map((name): EventRow => [`an event called ${name}`, emit(name, {}), 'closed']);
names.push(
  ...[
    'error',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '',
    ' room.join',
    'ROOM.JOIN',
    'room.join\0',
  ].map((name): EventRow => [`an event called ${JSON.stringify(name)}`, emit(name, { room_id }), INVALID]),
  ['an event of the server', emit('room.message', { room_id, message: {} }), INVALID],
  [
    'room.closed by a client',
    emit('room.closed', { room_id: 'room_city_general', reason: 'banned' }),
    INVALID,
  ],
  ['news of the nodes', emit('secondme.finished', 'x'), INVALID],
  ['an event of the other namespace', emit('presence.heartbeat', {}), INVALID],
  ['an event called by a number', emit(5, {}), INVALID],
  ['an event called by an object', emit({ name: 'room.join' }, {}), 'closed'],
  ['an event called by null', emit(null, {}), 'closed'],
  ['an event called by a list', emit(['room.join'], {}), 'closed'],
  ['a name of 10,000 characters', emit('x'.repeat(10_000), {}), INVALID],
  ['a name of bidi and escapes', emit('\u202e\u001b[2J\r\n{"level":"fatal"}', {}), INVALID],
);

const arity: EventRow[] = [
  ['no acknowledgement', frames('42/rooms,["room.join",{"room_id":"nowhere"}]'), 'alive'],
  ['no acknowledgement and null', frames('42/rooms,["room.join",null]'), 'alive'],
  ['no acknowledgement and no payload', frames('42/rooms,["room.join"]'), 'alive'],
  ['no acknowledgement of what nobody knows', frames('42/rooms,["nothing",1,2,3]'), 'alive'],
  [
    'every event at once without payload',
    frames(
      ...[
        'room.join',
        SEND,
        'room.typing',
        'room.read',
        'feed.subscribe',
        'secondme.invoke',
        'auth.refresh',
      ].map((name) => `42/rooms,["${name}"]`),
    ),
    'alive',
  ],
  ['no payload', emit('room.join'), INVALID],
  ['two payloads', emit('room.join', { room_id }, { room_id }), INVALID],
  ['an argument after the payload', emit('room.join', { room_id }, null), INVALID],
  ['an argument before the payload', emit('room.join', null, { room_id }), INVALID],
  ['10,000 arguments', emit('room.join', ...Array.from({ length: 10_000 }, () => 0)), INVALID],
];

const payloads: EventRow[] = [
  ...([null, true, 42, 'room_id', '', [], [{ room_id }], [[]], { room_id, extra: 1 }, {}] as const).map(
    (payload): EventRow => [`the payload ${JSON.stringify(payload)}`, emit('room.join', payload), INVALID],
  ),
  ...(
    [
      null,
      1,
      true,
      [],
      {},
      ['general'],
      { id: 'general' },
      '',
      '../general',
      'general\0',
      'GENERAL',
      '__proto__',
    ] as const
  ).map((room): EventRow => [
    `the room ${JSON.stringify(room)}`,
    emit('room.join', { room_id: room }),
    INVALID,
  ]),
  ...(['-1', '1.5', '9007199254740992', '1e400', '"5"', 'null', '[]', '{}', 'true'] as const).map(
    (since): EventRow => [
      `since ${since}`,
      packet(`["room.join",{"room_id":"general","since":${since}}]`),
      INVALID,
    ],
  ),
  ['since past the head', emit('room.join', { room_id, since: Number.MAX_SAFE_INTEGER }), ['ok', INVALID]],
  ['__proto__ with the room in it', packet('["room.join",{"__proto__":{"room_id":"general"}}]'), INVALID],
  [
    '__proto__ beside the room',
    packet('["room.join",{"room_id":"general","__proto__":{"since":0}}]'),
    INVALID,
  ],
  ['constructor beside the room', emit('room.join', { room_id, constructor: { prototype: {} } }), INVALID],
  ['toJSON beside the room', emit('room.join', { room_id, toJSON: 1 }), INVALID],
  ['a room that does not exist', emit('room.join', { room_id: 'nowhere' }), 'not_found'],
  ['a message of null', emit(SEND, { room_id, body: null }), INVALID],
  ['a message of an object', emit(SEND, { room_id, body: { text: 'x' } }), INVALID],
  ['a message of zero-width', emit(SEND, { room_id, body: '\u200b\u3164' }), INVALID],
  ['a message with NUL', emit(SEND, { room_id, body: 'a\0b' }), INVALID],
  [
    'a message with a lone surrogate',
    packet('["room.message.send",{"room_id":"general","body":"\\ud800"}]'),
    INVALID,
  ],
  ['a message of 10,001', emit(SEND, { room_id, body: 'x'.repeat(10_001) }), INVALID],
  [
    'a message of terminal escapes',
    emit(SEND, { room_id, body: '\u001b]0;x\u0007\r\n{"level":"fatal"}' }),
    'ok',
    1,
  ],
  [
    'a message in the name of somebody',
    emit(SEND, { room_id, body: 'x', author_user_id: 'u_canary' }),
    INVALID,
  ],
  ['a message of an agent', emit(SEND, { room_id, body: 'x', agent_id: 'ag_system' }), INVALID],
  ['a key of 65', emit(SEND, { room_id, body: 'x', client_id: 'k'.repeat(65) }), INVALID],
  ['a key that is an object', emit(SEND, { room_id, body: 'x', client_id: {} }), INVALID],
  ['a message into nowhere', emit(SEND, { room_id: 'nowhere', body: 'x' }), 'not_found'],
  ['an edit of nothing', emit('room.message.edit', { room_id, message_id, body: 'x' }), 'not_found'],
  ['an edit of a list', emit('room.message.edit', { room_id, message_id: [message_id], body: 'x' }), INVALID],
  ['a deletion of everything', emit('room.message.delete', { room_id, message_id: '%' }), INVALID],
  ['typing that is text', emit('room.typing', { room_id, typing: 'true' }), INVALID],
  ['a read mark before the beginning', emit('room.read', { room_id, seq: -1 }), INVALID],
  ['a read mark past 2^53', packet('["room.read",{"room_id":"general","seq":9007199254740993}]'), INVALID],
  ['a feed of theirs', emit('feed.subscribe', { scope: 'theirs' }), INVALID],
  ['a feed of a list', emit('feed.subscribe', { scope: ['city'] }), INVALID],
  ['a prompt of 5,001', emit('secondme.invoke', { prompt: 'x'.repeat(5_001) }), INVALID],
  ['a prompt with a role', emit('secondme.invoke', { prompt: 'x', messages: [] }), INVALID],
  ['a cancel of nothing', emit('secondme.cancel', { invocation_id: `sminv_${ULID}` }), 'not_found'],
  ['a cancel of a pattern', emit('secondme.cancel', { invocation_id: 'sminv_*' }), INVALID],
  ['a heartbeat for somebody else', emitPresence('presence.heartbeat', { user_id: 'u_canary' }), 'forbidden'],
  ['a heartbeat of offline', emitPresence('presence.heartbeat', { status: 'offline' }), INVALID],
  ['a heartbeat idle since before', emitPresence('presence.heartbeat', { idle_ms: -1 }), INVALID],
  ['a heartbeat idle for ever', packet('["presence.heartbeat",{"idle_ms":1e400}]', '/presence'), INVALID],
  ['a heartbeat idle for half a millisecond', emitPresence('presence.heartbeat', { idle_ms: 0.5 }), INVALID],
  [
    'a view of 501 users',
    emitPresence('presence.subscribe', { user_ids: Array.from({ length: 501 }, (_, n) => `u_${n}`) }),
    INVALID,
  ],
  [
    'a view of 51 rooms',
    emitPresence('presence.subscribe', { room_ids: Array.from({ length: 51 }, (_, n) => `room_city_${n}`) }),
    INVALID,
  ],
  ['a view of a pattern', emitPresence('presence.subscribe', { user_ids: ['u_*'] }), INVALID],
  ['a view of an object', emitPresence('presence.subscribe', { user_ids: { 0: 'u_a', length: 1 } }), INVALID],
  [
    'a view of 500 times the same',
    emitPresence('presence.subscribe', { user_ids: Array.from({ length: 500 }, () => 'u_a') }),
    'ok',
  ],
  [
    'a view of less than nothing',
    emitPresence('presence.unsubscribe', { user_ids: ['u_never'], city: true }),
    'ok',
  ],
];

const depth: EventRow[] = [4_000, 6_000].flatMap((levels): EventRow[] => [
  [`${levels} lists for a payload`, packet(`["room.join",${lists(levels)}]`), INVALID],
  [`${levels} objects for a payload`, packet(`["room.join",${objects(levels)}]`), INVALID],
  [
    `${levels} lists for a body`,
    packet(`["${SEND}",{"room_id":"general","body":${lists(levels)}}]`),
    INVALID,
  ],
  [
    `${levels} objects in an unknown field`,
    packet(`["${SEND}",{"room_id":"general","body":"x","a":${objects(levels)}}]`),
    INVALID,
  ],
  [`${levels} lists of an event nobody knows`, packet(`["room.message",${lists(levels)}]`), INVALID],
  [`${levels} lists without an acknowledgement`, frames(`42/rooms,["${SEND}",${lists(levels)}]`), 'alive'],
]);

const attachments: EventRow[] = [
  [
    'bytes for a body',
    {
      frames: [
        '451-/rooms,7["room.message.send",{"room_id":"general","body":{"_placeholder":true,"num":0}}]',
        binary('x'),
      ],
      acked: true,
    },
    INVALID,
  ],
  [
    'bytes for a payload',
    { frames: ['451-/rooms,7["room.join",{"_placeholder":true,"num":0}]', binary('x')], acked: true },
    INVALID,
  ],
  [
    'bytes that nobody names',
    { frames: ['451-/rooms,7["room.join",{"room_id":"general"}]', binary('x')], acked: true },
    'ok',
  ],
  [
    'no bytes of none',
    { frames: ['450-/rooms,7["room.join",{"room_id":"general"}]'], acked: true },
    ['ok', 'closed'],
  ],
  [
    'a placeholder past the end',
    frames('451-/rooms,["room.join",{"_placeholder":true,"num":9}]', binary('x')),
    'closed',
  ],
  [
    'a placeholder before the start',
    frames('451-/rooms,["room.join",{"_placeholder":true,"num":-1}]', binary('x')),
    'closed',
  ],
  [
    'a placeholder called __proto__',
    frames('451-/rooms,["room.join",{"_placeholder":true,"num":"__proto__"}]', binary('x')),
    'closed',
  ],
  ['a placeholder without bytes', emit('room.join', { _placeholder: true, num: 0 }), INVALID],
];

/** What a handshake is told. */
const handshake =
  (auth: unknown, namespace = '/rooms') =>
  (city: CorpusCity) =>
    new Promise<string>((resolve) => {
      const socket = io(city.url + namespace, {
        auth: auth as object,
        forceNew: true,
        reconnection: false,
        transports: ['websocket'],
      });
      const tell = (what: string) => void resolve((socket.close(), what));
      socket.on('connect', () => tell('ok'));
      socket.on('connect_error', (error) =>
        tell((error as { data?: { code?: string } }).data?.code ?? error.message),
      );
    });

const tokens: EventRow[] = [
  ...Object.entries(BAD_TOKENS).map(([name, token]): EventRow => [
    `a handshake with ${name}`,
    handshake({ token }),
    'unauthenticated',
  ]),
  ...Object.entries(BAD_TOKENS).map(([name, token]): EventRow => [
    `a refresh with ${name}`,
    emit('auth.refresh', { token }),
    token.length > 8192 ? INVALID : 'unauthenticated',
  ]),
  ['a handshake without auth', handshake(undefined), 'unauthenticated'],
  [
    'a handshake with a token that is an object',
    handshake({ token: { toString: tokenOf() } }),
    'unauthenticated',
  ],
  ['a handshake with a token in a list', handshake({ token: [tokenOf()] }), 'unauthenticated'],
  [
    'a handshake with a token under __proto__',
    handshake(JSON.parse(`{"__proto__":{"token":"${tokenOf()}"}}`)),
    'unauthenticated',
  ],
  ['a handshake with an exp of 1e308', handshake({ token: tokenOf({ exp: 1e308 }) }), 'ok'],
  [
    'a refresh with the token of somebody else',
    emit('auth.refresh', { token: tokenOf({ sub: 'u_canary' }) }),
    'forbidden',
  ],
  ['a refresh with an empty token', emit('auth.refresh', { token: '' }), INVALID],
  ['a refresh with an exp of 1e308', emit('auth.refresh', { token: tokenOf({ exp: 1e308 }) }), 'ok'],
];

const order: EventRow[] = [
  ['leaving before joining', emit('room.leave', { room_id }), 'ok'],
  ['leaving what does not exist', emit('room.leave', { room_id: 'nowhere' }), ['ok', 'not_found']],
  ['typing before joining', emit('room.typing', { room_id, typing: true }), ['ok', 'forbidden']],
  ['unsubscribing before subscribing', emit('feed.unsubscribe', { scope: 'mine' }), 'ok'],
  [
    'leaving the namespace and an event in one piece: it is not heard any more',
    async ({ port }) => {
      const raw = await enter(port, '/rooms', tokenOf());
      const texts = ['41/rooms,', '42/rooms,7["room.join",{"room_id":"general"}]'];
      raw.socket.write(Buffer.concat(texts.map((text) => frame(text))));
      // Whoever is in no namespace any more is cut off for the next event.
      const again = () => (raw.send('42/rooms,8["room.join",{"room_id":"general"}]'), raw.ended());
      await until(again, 'the end');
      return raw.texts().some((text) => text.startsWith('43')) ? 'heard' : 'closed';
    },
    'closed',
  ],
  [
    'joining and leaving 200 times without waiting',
    frames(
      ...Array.from(
        { length: 200 },
        (_, n) => `42/rooms,["room.${n % 2 ? 'leave' : 'join'}",{"room_id":"general"}]`,
      ),
    ),
    'alive',
  ],
  [
    'joining and going at once, 30 times: nobody is left in the room',
    async (city) => {
      for (let n = 0; n < 30; n++) {
        const socket = await city.socket();
        socket.raw.emit('room.join', { room_id: 'welcome' });
        socket.close();
      }
      const here = async () => (await city.rest('GET', '/city/rooms/welcome')).body.members_online as number;
      await until(async () => (await here()) === 0, 'an empty room');
      return 'empty';
    },
    'empty',
  ],
  [
    'a flood of 200 joins to one room: each is answered',
    async (city) => {
      const socket = await city.socket();
      const answers = await Promise.all(
        Array.from({ length: 200 }, () => socket.ack('room.join', { room_id })),
      );
      socket.close();
      return [...new Set(answers.map(({ ok, error }) => (ok ? 'ok' : error.code)))].join();
    },
    'ok',
  ],
  [
    'a flood of 1,000 joins to rooms that do not exist',
    async (city) => {
      const socket = await city.socket();
      const answers = await Promise.all(
        Array.from({ length: 1_000 }, (_, n) => socket.ack('room.join', { room_id: `nowhere-${n}` })),
      );
      socket.close();
      return [...new Set(answers.map(({ ok, error }) => (ok ? 'ok' : error.code)))].join();
    },
    'not_found',
  ],
  [
    'a flood of 2,000 events nobody knows, and going before the answers',
    async (city) => {
      const socket = await connect(`${city.url}/rooms`, tokenOf());
      for (let n = 0; n < 2_000; n++) socket.raw.emit(`nothing-${n}`, n, () => {});
      socket.close();
      return 'gone';
    },
    'gone',
  ],
];

export const EVENT_CASES = eventCases([
  ...names,
  ...arity,
  ...payloads,
  ...depth,
  ...attachments,
  ...tokens,
  ...order,
]);
