/**
 * A load of messages into any number of rooms: few senders who take the rooms in turn, closed loop, and fewer readers who
 * have many rooms open each, one reader a room.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createHistogram } from '../measure/histogram.ts';
import { nowUs } from './clock.ts';
import { openAll } from './crowd.ts';
import type { Wire } from './wire.ts';

export interface ManyRoomsOptions {
  /** Ids that end in six digits, their place in this list. */
  rooms: string[];
  /** A room is sent to and read over the connections of its place in turn. */
  senders: { url: string; token: string }[];
  readers: { url: string; token: string }[];
}

export type ManyRoomsLoad = ReturnType<typeof create>;

export interface ManyRoomsWindow {
  seconds: number;
  acked: number;
  ack: number[];
}

const DIGITS = 6;
const OK = Buffer.from('"ok":true');
const NUMBER = Buffer.from('"seq":');
const MESSAGE = Buffer.from('["room.message",');
const BODY = 'x'.repeat(100);
const DELIVERY_MS = 20_000;

function numberAfter(frame: Buffer, at: number): number {
  let value = 0;
  for (let i = at; frame[i]! >= 0x30 && frame[i]! <= 0x39; i++) value = value * 10 + frame[i]! - 0x30;
  return value;
}

export function create({ rooms, senders, readers }: ManyRoomsOptions) {
  /** Of each room: how often it was sent to with success, what its reader got, and the last number. */
  const acked = new Uint32Array(rooms.length);
  const delivered = new Uint32Array(rooms.length);
  const last = new Float64Array(rooms.length).fill(-1);
  const wires: { senders: Wire[]; readers: Wire[] } = { senders: [], readers: [] };
  const problems: string[] = [];
  const [first] = rooms;
  const idLength = first!.length;
  /** No client id of an earlier load is used again. */
  const own = randomUUID();
  let turn = 0;
  let sent = 0;

  const onEvent = (frame: Buffer, at: number) => {
    if (frame.compare(MESSAGE, 0, MESSAGE.length, at, at + MESSAGE.length) !== 0) return;
    const id = frame.indexOf('room_city_', at);
    const room = numberAfter(frame, id + idLength - DIGITS);
    const seq = numberAfter(frame, frame.indexOf(NUMBER, id) + NUMBER.length);
    if (last[room] !== -1 && seq !== last[room]! + 1)
      problems.push(`${rooms[room]!}: number ${seq} after ${last[room]!}`);
    last[room] = seq;
    delivered[room]!++;
  };
  const join = (wire: Wire, room: string) =>
    new Promise<void>((resolve, reject) =>
      wire.request('/rooms', 'room.join', `{"room_id":"${room}"}`, (frame, at) => {
        if (frame.indexOf(OK, at) === at + 2) resolve();
        else reject(new Error(`not let into ${room}: ${String(frame).slice(0, 300)}`));
      }),
    );
  const options = (url: string, token: string) => ({
    url,
    namespaces: ['/rooms'],
    auth: `{"token":"${token}"}`,
    onEvent,
    onLost: (reason: string) => problems.push(`a connection was lost: ${reason}`),
  });

  /** Sends once into the next room; resolves with the acknowledgement. */
  const send = (wire: Wire) =>
    new Promise<void>((resolve, reject) => {
      const room = turn++ % rooms.length;
      const payload = `{"room_id":"${rooms[room]!}","body":"${BODY}","client_id":"${own}-${++sent}"}`;
      wire.request('/rooms', 'room.message.send', payload, (frame, at) => {
        if (frame.indexOf(OK, at) !== at + 2) return reject(new Error(String(frame).slice(0, 300)));
        acked[room]!++;
        resolve();
      });
    });

  const missing = () => rooms.findIndex((_, room) => delivered[room] !== acked[room]);

  return {
    async connect(): Promise<void> {
      for (const kind of ['senders', 'readers'] as const) {
        const given = { senders, readers }[kind];
        await openAll(given, 1, async ({ url, token }, open) => {
          wires[kind].push(await open(options(url, token)));
        });
      }
      await Promise.all(
        wires.readers.map(async (wire, reader) => {
          for (let room = reader; room < rooms.length; room += wires.readers.length)
            await join(wire, rooms[room]!);
        }),
      );
    },

    /** Sends for so long on every connection; resolves when everything is acknowledged and delivered. */
    async run({ ms }: { ms: number }): Promise<ManyRoomsWindow> {
      const ack = createHistogram();
      const before = acked.reduce((sum, n) => sum + n, 0);
      const began = nowUs();
      const end = began + ms * 1_000;
      await Promise.all(
        wires.senders.map(async (wire) => {
          for (let now = began; now < end;) {
            await send(wire).catch((error: unknown) => problems.push(String(error)));
            ack.record(nowUs() - now);
            now = nowUs();
          }
        }),
      );
      const seconds = (nowUs() - began) / 1e6;
      for (const deadline = Date.now() + DELIVERY_MS; missing() !== -1 && Date.now() < deadline;)
        await sleep(5);
      return { seconds, acked: acked.reduce((sum, n) => sum + n, 0) - before, ack: ack.counts() };
    },

    async verify(): Promise<string[]> {
      const room = missing();
      return [
        ...problems.slice(0, 5),
        ...(room === -1
          ? []
          : [`${rooms[room]!}: ${acked[room]!} acknowledged, ${delivered[room]!} delivered`]),
      ];
    },
  };
}
