/** The bot of examples/node-bot, as its README starts it: it answers, and goes on where it was killed. */
import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startCity } from '../support/city.ts';
import type { City } from '../support/city.ts';
import type { TestSocket } from '../support/sockets.ts';
import { until } from '../support/until.ts';

const BOT = join(import.meta.dirname, '../../examples/node-bot/bot.mjs');
const ROOM = { room_id: 'room_city_general' };

let city: City;
let folder: string;
let alice: TestSocket;
const bots: ChildProcess[] = [];
beforeAll(async () => {
  city = await startCity();
  folder = await mkdtemp(join(tmpdir(), 'bot-'));
  alice = await city.socket('/rooms', 'u_alice', 0, { name: 'Alice' });
  await alice.call('room.join', ROOM);
});
afterEach(async () => {
  for (const bot of bots.splice(0)) await kill(bot);
});
afterAll(async () => {
  alice.close();
  await rm(folder, { recursive: true });
  await city.stop();
});

const stateFile = () => join(folder, 'state.json');

/** Starts the bot; resolves when it is in the room. */
async function start(): Promise<ChildProcess> {
  const child = spawn(process.execPath, [BOT], {
    cwd: folder,
    env: {
      PATH: process.env.PATH ?? '',
      CITY_URL: city.url(),
      CITY_TOKEN: await city.token('u_bot', { name: 'Bot' }),
      STATE_FILE: stateFile(),
    },
  });
  bots.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (output += String(piece)));
  await until(() => output.includes('in General at change'), 'the bot in the room').catch(
    (error: unknown) => {
      throw new Error(`${String(error)}\n${output}`);
    },
  );
  return child;
}

async function kill(bot: ChildProcess): Promise<void> {
  if (bot.exitCode !== null || bot.signalCode !== null) return;
  bot.kill('SIGKILL');
  await once(bot, 'exit');
}

const say = (body: string) => alice.call('room.message.send', { ...ROOM, body });
const answers = () =>
  alice
    .of('room.message')
    .filter(({ message }) => message.author_user_id === 'u_bot')
    .map(({ message }) => message.body as string);

it('answers, and what was asked while it was dead when it is back, each once', async () => {
  await say('!ping'); // before its first start: not its business
  const bot = await start();
  const { message } = await say('!count');
  await until(() => answers().length === 1, 'an answer');
  expect(answers()).toEqual([`Alice: that was message ${message.seq} of this room`]);
  await say('good bot');
  const place = await readFile(stateFile(), 'utf8');

  await kill(bot);
  for (let i = 0; i < 3; i++) await say('!ping');
  const second = await start();
  await until(() => answers().length === 4, 'three answers');

  // As if it had been killed before it wrote down what it did.
  await kill(second);
  await writeFile(stateFile(), place);
  await start();
  const { message: last } = await say('!count');
  const count = ({ seq }: { seq: number }) => `Alice: that was message ${seq} of this room`;
  await until(() => answers().includes(count(last)), 'the last answer');
  expect(answers()).toEqual([count(message), ...Array(3).fill('Alice: pong'), count(last)]);
});
