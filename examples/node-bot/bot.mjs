/**
 * A bot in a room: it answers "!ping" and "!count". README.md says how to run it.
 *
 * It may be killed at any moment. What it has dealt with is kept in STATE_FILE, so that it goes on with what was written
 * meanwhile; an answer's client_id is made from the message it answers, so that a message seen twice is answered once.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { io } from 'socket.io-client';

const { CITY_URL = 'http://localhost:7001', CITY_TOKEN, ROOM = 'general' } = process.env;
const { STATE_FILE = `.bot-${ROOM}.json` } = process.env;
const room_id = `room_city_${ROOM}`;
const me = JSON.parse(Buffer.from(CITY_TOKEN.split('.')[1], 'base64url').toString()).sub;

/** The last change that was dealt with; undefined on the very first start, when nothing old is answered. */
let since = existsSync(STATE_FILE) ? JSON.parse(readFileSync(STATE_FILE, 'utf8')).since : undefined;

function dealtWith(change_seq) {
  since = change_seq;
  writeFileSync(`${STATE_FILE}.new`, JSON.stringify({ since }));
  renameSync(`${STATE_FILE}.new`, STATE_FILE);
}

function answerTo({ username, body, seq }) {
  if (body === '!ping') return `${username}: pong`;
  if (body === '!count') return `${username}: that was message ${seq} of this room`;
  return undefined;
}

const rooms = io(`${CITY_URL}/rooms`, { auth: { token: CITY_TOKEN } });
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Answers `message` if it asks for it; resolves when the answer is stored, however often that must be tried. */
async function answer(message) {
  const body = message.author_user_id === me || message.deleted_at ? undefined : answerTo(message);
  while (body !== undefined) {
    const payload = { room_id, body, client_id: `re-${message.id}` };
    const ack = await rooms
      .timeout(10_000)
      .emitWithAck('room.message.send', payload)
      .catch(() => undefined);
    if (ack?.ok) return;
    if (ack && !ack.error.retryable) return console.error(`not answered: ${ack.error.message}`);
    await wait(ack?.error.retry_after_ms ?? 1_000);
  }
}

// One after another, in the order of the log: `since` never passes a message that was not dealt with.
let work = Promise.resolve();
function take(message) {
  work = work.then(async () => {
    if (message.change_seq <= since) return; // came by two ways
    await answer(message);
    dealtWith(message.change_seq);
  });
}

/** Live messages that came before everything missed was taken; undefined when nothing is missed. */
let early = [];
for (const event of ['room.message', 'room.message.updated', 'room.message.deleted']) {
  rooms.on(event, ({ message }) => (early ? early.push(message) : take(message)));
}

async function join() {
  early ??= [];
  await work; // `since` stands where the work stands
  const { ok, data, error } = await rooms.emitWithAck('room.join', { room_id, since });
  if (!ok) return console.error(`not in ${ROOM}: ${error.message}`);
  const missed = since === undefined ? [] : data.messages;
  if (since === undefined) dealtWith(data.room.last_change_seq);
  console.log(`in ${data.room.name} at change ${since}: ${missed.length} missed`);
  missed.forEach(take);
  if (missed.length > 0 && data.has_more) return join(); // more than 1,000 were missed
  early.forEach(take);
  early = undefined;
}

rooms.on('connect', () => join().catch(() => {})); // gone again meanwhile: the next connect joins
rooms.on('disconnect', (reason) => console.log(`disconnected: ${reason}`));
rooms.on('connect_error', ({ message, data }) => console.error(data?.code ?? message));

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    rooms.close();
    process.exit(0);
  });
}
