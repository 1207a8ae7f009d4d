/** Bad bytes: HTTP, Engine.IO, WebSocket frames and Socket.IO packets. */
import { tokenOf } from './city.ts';
import type { Case, CorpusCity } from './city.ts';
import { eventCases, frames } from './events.ts';
import type { EventRow } from './events.ts';
import { dial, ENGINE, exchange, frame, openWebSocket, upgrade } from './wire.ts';

type Expected = string | readonly string[];
/** Name, bytes, the statuses that come (or `closed`), rows. */
type BytesRow = [
  name: string,
  bytes: string | Buffer,
  expected: Expected,
  options?: Parameters<typeof exchange>[2],
];

const authorised = `Host: x\r\nAuthorization: Bearer ${tokenOf()}\r\n`;
const last = 'Connection: close\r\n';
const typed = 'Content-Type: application/json\r\n';
const SEND = 'POST /city/rooms/general/messages HTTP/1.1\r\n';
const WELL = '{"body":"smuggled"}';
const HOME = 'GET /health/live HTTP/1.1\r\nHost: x\r\n';
const REFUSED = ['400', 'closed'];

const http: BytesRow[] = [
  [
    'a length and chunks',
    `${SEND}${authorised}${typed}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${HOME}\r\n`,
    '400',
  ],
  [
    'chunks and a length',
    `${SEND}${authorised}${typed}Transfer-Encoding: chunked\r\nContent-Length: 19\r\n\r\n${WELL}`,
    '400',
  ],
  [
    'two lengths',
    `${SEND}${authorised}${typed}Content-Length: 19\r\nContent-Length: 0\r\n\r\n${WELL}`,
    '400',
  ],
  ['a length below 0', `${SEND}${authorised}${typed}Content-Length: -1\r\n\r\n${WELL}`, '400'],
  ['a length with a sign', `${SEND}${authorised}${typed}Content-Length: +19\r\n\r\n${WELL}`, '400'],
  ['a length in hexadecimal', `${SEND}${authorised}${typed}Content-Length: 0x13\r\n\r\n${WELL}`, '400'],
  [
    'a length past 2^64',
    `${SEND}${authorised}${typed}Content-Length: 99999999999999999999\r\n\r\n${WELL}`,
    '400',
  ],
  ['a list of lengths', `${SEND}${authorised}${typed}Content-Length: 19, 19\r\n\r\n${WELL}`, '400'],
  [
    'chunked, twice',
    `${SEND}${authorised}${typed}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
    ['400', '501'],
  ],
  [
    'chunked, then identity',
    `${SEND}${authorised}${typed}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
    '400',
  ],
  [
    'an encoding nobody knows',
    `${SEND}${authorised}${typed}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
    '400',
  ],
  [
    'chunked with a vertical tab',
    `${SEND}${authorised}${typed}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`,
    '400',
  ],
  ['a chunk of garbage', `${SEND}${authorised}${typed}Transfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n`, '400'],
  [
    'a chunk of 2^64',
    `${SEND}${authorised}${typed}Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx`,
    '400',
  ],
  [
    'a chunk with a long extension',
    `${SEND}${authorised}${typed}Transfer-Encoding: chunked\r\n\r\n5;${'x'.repeat(20_000)}\r\nhello\r\n`,
    ['400', '413'],
  ],
  [
    'trailers that forge a token',
    `${SEND}Host: x\r\n${typed}${last}Transfer-Encoding: chunked\r\n\r\n13\r\n${WELL}\r\n0\r\nAuthorization: Bearer ${tokenOf()}\r\n\r\n`,
    '401',
  ],
  [
    'more body than was said',
    `${SEND}${authorised}${typed}Content-Length: 2\r\n\r\n{}GARBAGE\r\n\r\n`,
    ['400', '400 400'],
    { answers: 2 },
  ],
  [
    'less body than was said',
    `${SEND}${authorised}${typed}Content-Length: 500\r\n\r\n${WELL}`,
    REFUSED,
    { half: true },
  ],
  ['half a request line', 'GET /city/ro', REFUSED, { half: true }],
  ['half a header', `${HOME}X-Half`, REFUSED, { half: true }],
  [
    'half a body, and a reset',
    `${SEND}${authorised}${typed}Content-Length: 500\r\n\r\n{`,
    'closed',
    { afterwards: ({ socket }) => void setImmediate(() => socket.resetAndDestroy()) },
  ],
  ['nothing, and the end', '', 'closed', { half: true }],
  ['a space before the colon', `${HOME}Content-Length : 5\r\n\r\nhello`, '400'],
  ['a header without a name', `${HOME}: x\r\n\r\n`, '400'],
  ['a header without a colon', `${HOME}nonsense\r\n\r\n`, '400'],
  ['a folded header', `${HOME}X-A: a\r\n b\r\n\r\n`, '400'],
  ['bare line feeds', 'GET /health/live HTTP/1.1\nHost: x\n\n', '400'],
  ['a bare carriage return', `${HOME}X-A: a\rX-B: b\r\n\r\n`, '400'],
  ['NUL in a header', `${HOME}X-A: a\0b\r\n\r\n`, '400'],
  ['a control character in a header', `${HOME}X-Request-Id: a\x01b\r\n\r\n`, '400'],
  ['an escape in the name of a header', `${HOME}X-\x1b[2J: a\r\n\r\n`, '400'],
  ['bytes past ASCII in a header', `${HOME}${last}X-Request-Id: \xff\xfe\x80\r\n\r\n`, '200'],
  ['a header of 20 KB', `${HOME}X-A: ${'x'.repeat(20_000)}\r\n\r\n`, '431'],
  ['10,000 headers', `${HOME}${'a: b\r\n'.repeat(10_000)}\r\n`, '431'],
  ['a path of 20 KB', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, '431'],
  ['no host', 'GET /health/live HTTP/1.1\r\n\r\n', '400'],
  ['two hosts', `${HOME}${last}Host: y\r\n\r\n`, ['200', '400']],
  ['an empty host', `GET /city/rooms HTTP/1.1\r\nHost:\r\n${last}\r\n`, '401'],
  ['a host of nonsense', `GET /city/rooms HTTP/1.1\r\nHost: a b@c:99999/../\r\n${last}\r\n`, '401'],
  ['a host of markup on a page', `GET /docs HTTP/1.1\r\nHost: "><script>\r\n${last}\r\n`, '200'],
  ['HTTP/0.9', 'GET /health/live\r\n\r\n', ['200', '400']],
  ['HTTP/1.0', 'GET /health/live HTTP/1.0\r\n\r\n', '200'],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '400'],
  ['HTTP/9.9', 'GET / HTTP/9.9\r\nHost: x\r\n\r\n', '400'],
  ['TLS', Buffer.from('1603010200010001fc0303', 'hex'), '400'],
  ['SSH', 'SSH-2.0-OpenSSH_9.6\r\n', '400'],
  ['Redis', '*1\r\n$8\r\nFLUSHALL\r\n', '400'],
  ['64 KB of zeros', Buffer.alloc(65_536), '400'],
  ['a method nobody knows', 'HACK / HTTP/1.1\r\nHost: x\r\n\r\n', '400'],
  ['a method in small letters', 'get /health/live HTTP/1.1\r\nHost: x\r\n\r\n', '400'],
  ['CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n', ['400', '404', '405', 'closed']],
  ['an absolute address', `GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\n${last}\r\n`, '404'],
  ['a path of *', `OPTIONS * HTTP/1.1\r\nHost: x\r\n${last}\r\n`, ['204', '404']],
  ['a path without a slash', `GET city/rooms HTTP/1.1\r\nHost: x\r\n${last}\r\n`, ['400', '404']],
  ['a path with NUL', 'GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n', '400'],
  [
    'Expect: 100-continue',
    `${SEND}${authorised}${typed}${last}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}`,
    '400',
  ],
  ['Expect: the unexpected', `${HOME}${last}Expect: nonsense\r\n\r\n`, '417'],
  [
    '100 requests in a row',
    `${HOME}\r\n`.repeat(99) + `${HOME}${last}\r\n`,
    Array(100).fill('200').join(' '),
    { answers: 100 },
  ],
  ['a good request, then garbage', `${HOME}\r\nGARBAGE\r\n\r\n`, ['400', '200 400'], { answers: 2 }],
];

const poll = (query: string, head = '', method = 'GET') =>
  `${method} /socket.io/?${query} HTTP/1.1\r\nHost: x\r\n${last}${head}\r\n`;
const EIO = 'EIO=4&transport=polling';

const engine: BytesRow[] = [
  ['no query', poll(''), '400'],
  ['protocol 3', poll('EIO=3&transport=polling'), '400'],
  ['protocol 999', poll('EIO=999&transport=polling'), '400'],
  ['protocol twice', poll(`${EIO}&EIO=3`), ['400', '200']],
  ['transport of nothing', poll('EIO=4'), '400'],
  ['transport webtransport', poll('EIO=4&transport=webtransport'), '400'],
  ['transport constructor', poll('EIO=4&transport=constructor'), '400'],
  ['transport twice', poll('EIO=4&transport=polling&transport=websocket'), '400'],
  ['a websocket that is none', poll('EIO=4&transport=websocket'), '400'],
  ['a session nobody has', poll(`${EIO}&sid=garbage`), '400'],
  ['a session called __proto__', poll(`${EIO}&sid=__proto__`), '400'],
  ['two sessions', poll(`${EIO}&sid=a&sid=b`), '400'],
  ['a session of 8,000 characters', poll(`${EIO}&sid=${'x'.repeat(8_000)}`), '400'],
  ['a handshake by POST', poll(EIO, 'Content-Length: 0\r\n', 'POST'), '400'],
  ['a handshake by DELETE', poll(EIO, '', 'DELETE'), '400'],
  ['a handshake from a foreign page', poll(EIO, 'Origin: https://evil.example\r\n'), '403'],
  ['a handshake from null', poll(EIO, 'Origin: null\r\n'), '403'],
  ['a handshake of JSONP', poll(`${EIO}&j=alert(1)//`), '200'],
  ['escapes that are none', poll(`${EIO}&sid=%zz%00`), '400'],
  ['a path beside it', `GET /socket.io/admin?${EIO} HTTP/1.1\r\nHost: x\r\n${last}\r\n`, ['404', '200']],
  [
    'its client, which is not served',
    `GET /socket.io/socket.io.js HTTP/1.1\r\nHost: x\r\n${last}\r\n`,
    ['400', '404'],
  ],
  ['an upgrade from a foreign page', upgrade(ENGINE, { Origin: 'https://evil.example' }), '400'],
  ['an upgrade to /', upgrade('/'), ['200', '404']],
  ['an upgrade to a room', upgrade('/city/rooms'), '401'],
  ['an upgrade to h2c', upgrade('/health/live', { Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABk' }), '200'],
  ['an upgrade to h2c at its path', upgrade(ENGINE, { Upgrade: 'h2c' }), '400'],
  ['an upgrade by POST', upgrade().replace('GET', 'POST'), ['400', '405']],
  ['an upgrade with version 7', upgrade(ENGINE, { 'Sec-WebSocket-Version': '7' }), ['400', '426']],
  ['an upgrade with a bad key', upgrade(ENGINE, { 'Sec-WebSocket-Key': 'short' }), '400'],
  ['an upgrade without a key', upgrade().replace(/Sec-WebSocket-Key.*\r\n/, ''), '400'],
  ['an upgrade with protocol 3', upgrade('/socket.io/?EIO=3&transport=websocket'), ['101', '101 400']],
  ['an upgrade of a session nobody has', upgrade(`${ENGINE}&sid=garbage`), '400'],
  [
    'an upgrade with extensions of nonsense',
    upgrade(ENGINE, { 'Sec-WebSocket-Extensions': ';;;=' }),
    ['400', '101'],
  ],
  [
    'an upgrade that asks for compression',
    upgrade(ENGINE, { 'Sec-WebSocket-Extensions': 'permessage-deflate' }),
    '101',
  ],
  [
    'half an upgrade, and a reset',
    upgrade().slice(0, -2),
    'closed',
    { afterwards: ({ socket }) => void setImmediate(() => socket.resetAndDestroy()) },
  ],
  [
    'an upgrade, and a reset',
    upgrade(),
    ['closed', '101'],
    { afterwards: ({ socket }) => void setImmediate(() => socket.resetAndDestroy()) },
  ],
];

const bytesCase = ([name, bytes, expected, options]: BytesRow): Case => ({
  name,
  expected,
  send: ({ port }) => exchange(port, bytes, options),
});

/** A polling session, as the owner of a token, and what comes of a request with its sid. */
const polling =
  (what: (sid: string) => [method: string, query: string, body?: string | Buffer]) =>
  async (city: CorpusCity) => {
    const at = `${city.url}/socket.io/?EIO=4&transport=polling`;
    const { sid } = JSON.parse((await (await fetch(at)).text()).slice(1)) as { sid: string };
    const [method, query, body] = what(sid);
    const { status } = await fetch(`${city.url}/socket.io/?${query}&sid=${sid}`, {
      method,
      ...(body === undefined ? {} : { body }),
    });
    return String(status);
  };

const sessions: EventRow[] = [
  ['a session asked for with protocol 3', polling(() => ['GET', 'EIO=3&transport=polling']), '400'],
  ['a session asked for without a protocol', polling(() => ['GET', 'transport=polling']), '400'],
  ['a session by another transport', polling(() => ['GET', 'EIO=4&transport=websocket']), '400'],
  ['a session that is sent garbage', polling(() => ['POST', EIO, 'nonsense']), ['200', '400']],
  ['a session that is sent nothing', polling(() => ['POST', EIO, '']), ['200', '400']],
  ['a session that is sent 70 KB', polling(() => ['POST', EIO, '4'.repeat(70_000)]), '413'],
  [
    'a session that is sent bytes',
    polling(() => ['POST', EIO, Buffer.from([0, 255, 254, 4])]),
    ['200', '400'],
  ],
  [
    'a session that is sent 20,000 packets at once',
    polling(() => ['POST', EIO, Array(20_000).fill('6').join('\x1e')]),
    ['200', '400'],
  ],
  ['a session that is sent base64 of nothing', polling(() => ['POST', EIO, 'b%%%%']), ['200', '400']],
  [
    'a session that is sent 6,000 lists',
    polling(() => ['POST', EIO, `40/rooms,${'['.repeat(6_000)}${']'.repeat(6_000)}`]),
    ['200', '400'],
  ],
  ['a session by PUT', polling(() => ['PUT', EIO, '']), ['400', '405', '500']],
];

/** What a fresh WebSocket without a namespace gets for `texts`. */
const stranger =
  (fits: (text: string) => boolean, ...texts: (string | Buffer)[]) =>
  async (city: CorpusCity) => {
    const raw = await openWebSocket(city.port);
    for (const text of texts) raw.socket.write(typeof text === 'string' ? frame(text) : text);
    const answer = await raw.next(fits, 'an answer');
    raw.socket.destroy();
    return answer === undefined ? 'closed' : answer.slice(0, 2);
  };
const refused = (text: string) => text.startsWith('44');

const binary = { opcode: 2 };
const frameRows: EventRow[] = [
  ['a text of 70 KB', frames(frame('4'.repeat(70_000))), 'closed'],
  [
    'a text of 66 KB in fragments of 1 KB',
    frames(
      ...Array.from({ length: 70 }, (_, n) => frame('x'.repeat(1_024), { opcode: n ? 0 : 1, fin: n === 69 })),
    ),
    'closed',
  ],
  [
    'fragments without end',
    frames(
      frame('4', { fin: false }),
      ...Array.from({ length: 70 }, () => frame('x'.repeat(1_024), { opcode: 0, fin: false })),
    ),
    'closed',
  ],
  [
    '20,000 fragments of nothing',
    frames(
      frame('', { fin: false }),
      Buffer.concat(Array.from({ length: 20_000 }, () => frame('', { opcode: 0, fin: false }))),
    ),
    'closed',
  ],
  ['a length of 2^63', frames(frame('', { claim: 2n ** 63n })), 'closed'],
  ['a length of a terabyte', frames(frame('x', { claim: 2n ** 40n })), 'closed'],
  ['a frame without a mask', frames(frame('3', { mask: false })), 'closed'],
  ['a reserved bit', frames(frame('3', { reserved: 2 })), 'closed'],
  ['a compressed frame that was not agreed on', frames(frame('3', { reserved: 4 })), 'closed'],
  ['an unknown opcode', frames(frame('3', { opcode: 3 })), 'closed'],
  ['an unknown control opcode', frames(frame('', { opcode: 11 })), 'closed'],
  ['a continuation of nothing', frames(frame('3', { opcode: 0 })), 'closed'],
  ['a text inside a fragmented text', frames(frame('4', { fin: false }), frame('3')), 'closed'],
  ['a ping in two fragments', frames(frame('', { opcode: 9, fin: false })), 'closed'],
  ['a ping of 126 bytes', frames(frame('x'.repeat(126), { opcode: 9 })), 'closed'],
  [
    '1,000 pings',
    frames(Buffer.concat(Array.from({ length: 1_000 }, () => frame('', { opcode: 9 })))),
    'alive',
  ],
  ['a text that is not UTF-8', frames(frame(Buffer.from([0x34, 0xff, 0xfe]))), 'closed'],
  ['a close with a code of 999', frames(frame(Buffer.from([3, 231]), { opcode: 8 })), 'closed'],
  ['a close of one byte', frames(frame(Buffer.from([3]), { opcode: 8 })), 'closed'],
  ['bytes that nobody announced', frames(frame(Buffer.from([1, 2, 3]), binary)), 'closed'],
  ['an empty frame of bytes', frames(frame('', binary)), ['alive', 'closed']],
  [
    'half a frame, and a reset',
    async ({ port }) => {
      const raw = await openWebSocket(port);
      raw.socket.write(frame('42/rooms,["room.join",{}]').subarray(0, 5));
      raw.socket.resetAndDestroy();
      return 'gone';
    },
    'gone',
  ],
  ['an empty text', frames(''), ['alive', 'closed']],
  ['a packet of an unknown type', frames('9'), 'closed'],
  ['a packet of a letter', frames('x'), 'closed'],
  ['a second opening', frames('0{"sid":"x"}'), ['alive', 'closed']],
  ['a close of the session', frames('1'), ['alive', 'closed']],
  ['a ping of the client', frames('2'), ['alive', 'closed']],
  ['a probe on what is no upgrade', frames('2probe'), ['alive', 'closed']],
  [
    '1,000 pongs nobody asked for',
    frames(Buffer.concat(Array.from({ length: 1_000 }, () => frame('3')))),
    ['alive', 'closed'],
  ],
  ['an upgrade nobody asked for', frames('5'), ['alive', 'closed']],
];

const packets: EventRow[] = [
  ['a message of nothing', frames('4'), 'closed'],
  ['an unknown packet', frames('47'), 'closed'],
  ['a packet of a letter', frames('4a'), 'closed'],
  ['a namespace without an end', frames('42/rooms'), 'alive'],
  ['a namespace of 60,000 characters', frames(`42/${'x'.repeat(60_000)},["room.join"]`), 'closed'],
  ['a namespace it is not in', frames('42/presence,["presence.offline",{}]'), 'closed'],
  ['the default namespace', frames('42["room.join",{}]'), 'closed'],
  ['a payload that is no list', frames('42/rooms,{"0":"room.join"}'), 'closed'],
  ['an empty list', frames('42/rooms,[]'), 'closed'],
  ['no payload', frames('42/rooms,'), 'alive'],
  ['JSON that is none', frames('42/rooms,["room.join",{]'), 'closed'],
  ['JSON with a tail', frames('42/rooms,["room.join",{}]x'), 'closed'],
  ['an id past 2^53', frames('42/rooms,99999999999999999999["room.join",{}]'), 'alive'],
  ['an id below 0', frames('42/rooms,-1["room.join",{}]'), 'closed'],
  ['60,000 lists that never close', frames(`42/rooms,${'['.repeat(60_000)}`), 'closed'],
  [
    '30,000 lists',
    frames(`42/rooms,["room.join",${'['.repeat(30_000)}${']'.repeat(30_000)}]`),
    ['alive', 'closed'],
  ],
  ['an acknowledgement nobody asked for', frames('43/rooms,5["x"]'), 'alive'],
  ['an acknowledgement without an id', frames('43/rooms,["x"]'), ['alive', 'closed']],
  ['an acknowledgement called __proto__', frames('43/rooms,__proto__[]'), 'closed'],
  ['an error of the client', frames('44/rooms,{"message":"x"}'), ['alive', 'closed']],
  [
    'the way into the namespace it is in',
    frames(`40/rooms,${JSON.stringify({ token: tokenOf() })}`),
    ['alive', 'closed'],
  ],
  [
    'the way in as somebody else, on one connection',
    frames(`40/presence,${JSON.stringify({ token: tokenOf({ sub: 'u_other' }) })}`),
    'alive',
  ],
  ['a count of attachments that is none', frames('45x-/rooms,["room.join"]'), 'closed'],
  ['a count of attachments without an end', frames('45999999999'), 'closed'],
  ['a million attachments', frames('451000000-/rooms,["room.join"]'), 'closed'],
  ['a count of attachments below 0', frames('45-1-/rooms,["room.join"]'), 'closed'],
  [
    'an attachment that never comes',
    frames('451-/rooms,["room.join",{"_placeholder":true,"num":0}]'),
    'closed',
  ],
  [
    'one attachment of two',
    frames('452-/rooms,["room.join",{"_placeholder":true,"num":0}]', frame('x', binary)),
    'closed',
  ],
  [
    'two attachments of one',
    frames('451-/rooms,["room.join",{"_placeholder":true,"num":0}]', frame('x', binary), frame('y', binary)),
    'closed',
  ],
  [
    'an acknowledgement with an attachment',
    frames('461-/rooms,5["x"]', frame('x', binary)),
    ['alive', 'closed'],
  ],
  [
    'a stranger: an event before any namespace',
    stranger(() => false, '42/rooms,["room.join",{"room_id":"general"}]'),
    'closed',
  ],
  ['a stranger: the default namespace', stranger(refused, '40'), '44'],
  ['a stranger: a namespace nobody has', stranger(refused, '40/nowhere,'), '44'],
  ['a stranger: a namespace called __proto__', stranger(refused, '40/__proto__,'), '44'],
  ['a stranger: the admin namespace', stranger(refused, '40/admin,{"username":"admin"}'), '44'],
  ['a stranger: no token', stranger(refused, '40/rooms,'), '44'],
  [
    'a stranger: auth that is a list',
    stranger((text) => text.startsWith('4'), '40/rooms,["token"]'),
    ['44', 'closed'],
  ],
  [
    'a stranger: auth that is null',
    stranger((text) => text.startsWith('4'), '40/rooms,null'),
    ['44', 'closed'],
  ],
  [
    'a stranger: auth that is text',
    stranger((text) => text.startsWith('4'), '40/rooms,"token"'),
    ['44', 'closed'],
  ],
  [
    'a stranger: auth of 6,000 lists',
    stranger(refused, `40/rooms,{"token":${'['.repeat(6_000)}${']'.repeat(6_000)}}`),
    '44',
  ],
  [
    'a stranger: 200 namespaces on one connection',
    stranger(refused, ...Array.from({ length: 200 }, (_, n) => `40/n${n},`)),
    '44',
  ],
  [
    'a stranger: the same way in 100 times',
    stranger(refused, ...Array.from({ length: 100 }, () => '40/rooms,')),
    '44',
  ],
];

const crowd: Case[] = [
  {
    name: 'the wire: 300 connections that say half a request and wait',
    expected: 'still served',
    async send(city) {
      const lines = Array.from({ length: 300 }, () => dial(city.port));
      for (const { socket } of lines) socket.write('GET /city/rooms HTTP/1.1\r\nHost: x\r\nX-Slow: ');
      const { status } = await city.rest('GET', '/city/rooms');
      for (const { socket } of lines) socket.resetAndDestroy();
      return status === 200 ? 'still served' : String(status);
    },
  },
];

const named = (kind: string, cases: Case[]): Case[] =>
  cases.map((each) => ({ ...each, name: `${kind}: ${each.name}` }));

export const WIRE_CASES: Case[] = [
  ...named('HTTP', http.map(bytesCase)),
  ...named('Engine.IO', [...engine.map(bytesCase), ...eventCases(sessions)]),
  ...named('a frame', eventCases(frameRows)),
  ...named('Socket.IO', eventCases(packets)),
  ...crowd,
];
