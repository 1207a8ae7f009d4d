/** A load on rooms: clients that have one room open or none, and send into it, closed loop or open loop. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createHistogram } from '../measure/histogram.ts';
import { nowUs } from './clock.ts';
import { openAll } from './crowd.ts';
import { addFaults, createReader, noFaults } from './ledger.ts';
import type { Faults, Reader } from './ledger.ts';
import { readMarker, writeMarker } from './marker.ts';
import type { Wire } from './wire.ts';

export interface RoomClient {
  url: string;
  token: string;
  userId: string;
  /** Index into `rooms`. */
  room: number;
  /** Whether it has the room open. */
  reads: boolean;
  /** Its number among the senders of its room, over all processes; absent for one that only reads. */
  sender?: number;
}

export interface RoomsOptions {
  /** Ids of the rooms, and how many senders each has. */
  rooms: { id: string; senders: number }[];
  clients: RoomClient[];
  /** Whether the server promises that the numbers of a room's messages rise by one. */
  numbered: boolean;
  /** Length of a body, characters. */
  bodyLength: number;
  /** How long answers and deliveries may be under way after the last message; 10 s when absent. */
  patienceMs?: number;
}

export type RoomsLoad = ReturnType<typeof create>;

/** What happened in a window. Counts of histograms, so that those of several processes can be added. */
export interface Window {
  seconds: number;
  acked: number;
  delivered: number;
  /** µs from the scheduled moment (closed loop: from the sending) to the acknowledgement and to each delivery. */
  ack: number[];
  delivery: number[];
  /** µs that the generator itself was late. */
  lateness: number[];
}

/** Messages of each sender of each room that were acknowledged. */
export type Sent = number[][];

const NUMBER = Buffer.from('"seq":');
const OK = Buffer.from('"ok":true');
const [ZERO, NINE] = [0x30, 0x39];
const PATIENCE_MS = 10_000;

interface Sender {
  wire: Wire;
  room: number;
  sender: number;
  roomId: string;
  userId: string;
  sent: number;
}

export function create(options: RoomsOptions) {
  const { rooms, clients, numbered, bodyLength, patienceMs = PATIENCE_MS } = options;
  const wires: Wire[] = [];
  const senders: Sender[] = [];
  const readers: { reader: Reader; room: number }[] = [];
  const acked: Sent = rooms.map(({ senders }) => Array<number>(senders).fill(0));
  const [ack, delivery, lateness] = [createHistogram(), createHistogram(), createHistogram()];
  const counts = { acked: 0, delivered: 0 };
  const refusals: string[] = [];
  const losses: string[] = [];
  /** A cluster may serve several loads: no client id of one may be another's. */
  const loadId = nowUs().toString(36);
  const padding = '.'.repeat(bodyLength);
  let running = false;
  let looping: Promise<void> = Promise.resolve();

  const receive = (reader: Reader) => (frame: Buffer, at: number) => {
    const marker = readMarker(frame, at);
    if (!marker) return; // another event
    reader.saw(marker.sender, marker.n);
    if (numbered) {
      let seq = 0;
      for (let i = frame.indexOf(NUMBER, at) + NUMBER.length; frame[i]! >= ZERO && frame[i]! <= NINE; i++)
        seq = seq * 10 + frame[i]! - ZERO;
      reader.sawNumber(seq);
    }
    counts.delivered++;
    delivery.record(nowUs() - marker.sentUs);
  };

  const send = (from: Sender, scheduledUs: number, onAnswer?: () => void) => {
    const n = ++from.sent;
    const body = (writeMarker(from.sender, n, scheduledUs) + padding).slice(0, bodyLength);
    const payload = `{"room_id":"${from.roomId}","body":"${body}","client_id":"${loadId}-${from.userId}-${n}"}`;
    from.wire.request('/rooms', 'room.message.send', payload, (frame, at) => {
      if (frame.indexOf(OK, at) !== at + 2) {
        running = false;
        refusals.push(String(frame).slice(0, 300));
        return onAnswer?.();
      }
      acked[from.room]![from.sender]!++;
      counts.acked++;
      ack.record(nowUs() - scheduledUs);
      onAnswer?.();
    });
  };

  return {
    /** Opens all connections, and their rooms; seconds that it took. */
    async connect({ atOnce = 50 }: { atOnce?: number } = {}): Promise<{ seconds: number; retries: number }> {
      const began = nowUs();
      const { retries } = await openAll(clients, atOnce, async (client, open) => {
        const { url, token, userId, room, reads, sender } = client;
        const reader = createReader(rooms[room]!.senders);
        const wire = await open({
          url,
          namespaces: ['/rooms'],
          auth: `{"token":"${token}"}`,
          onEvent: receive(reader),
          onLost: (reason) => losses.push(`${userId} lost its connection: ${reason}`),
        });
        wires.push(wire);
        const roomId = rooms[room]!.id;
        if (reads) {
          await new Promise<void>((resolve, reject) => {
            wire.request('/rooms', 'room.join', `{"room_id":"${roomId}"}`, (frame, at) => {
              if (frame.indexOf(OK, at) === at + 2) resolve();
              else reject(new Error(`a join was refused: ${String(frame).slice(0, 300)}`));
            });
          });
          readers.push({ reader, room });
        }
        if (sender !== undefined) senders.push({ wire, room, sender, roomId, userId, sent: 0 });
      });
      return { seconds: (nowUs() - began) / 1e6, retries };
    },

    /** Every sender sends its next message when the one before is acknowledged. */
    async closedLoop(): Promise<void> {
      running = true;
      const next = (from: Sender) => {
        if (running) send(from, nowUs(), () => next(from));
      };
      senders.forEach(next);
    },

    /** `rate` messages a second in all, evenly spaced whatever becomes of them, senders in turn over the rooms. */
    async openLoop({ rate }: { rate: number }): Promise<void> {
      running = true;
      const inTurn = [...senders].sort((a, b) => a.sender - b.sender || a.room - b.room);
      const began = nowUs();
      const loop = async () => {
        for (let n = 0; running; n++) {
          const dueUs = Math.floor(began + (n * 1e6) / rate);
          const early = (dueUs - nowUs()) / 1e3;
          // A timer is up to a millisecond late and more: the last stretch is waited for awake.
          if (early > 2) await sleep(Math.floor(early - 1));
          while (nowUs() < dueUs) await new Promise(setImmediate);
          lateness.record(nowUs() - dueUs);
          send(inTurn[n % inTurn.length]!, dueUs);
        }
      };
      looping = loop();
    },

    /** Every sender sends `count` messages, each when the one before is answered; resolves when all are. */
    async sendEach({ count }: { count: number }): Promise<void> {
      const each = (from: Sender) =>
        new Promise<void>((resolve) => {
          const next = () => (from.sent < count ? send(from, nowUs(), next) : resolve());
          next();
        });
      await Promise.all(senders.map(each));
    },

    /** What happens within `ms` from now, or until something has. */
    async measure({ ms }: { ms: number }): Promise<Window> {
      for (const histogram of [ack, delivery, lateness]) histogram.clear();
      const before = { ...counts };
      const began = nowUs();
      await sleep(ms);
      const nothing = () => counts.acked === before.acked || counts.delivered === before.delivered;
      for (const end = Date.now() + patienceMs; nothing() && Date.now() < end;) await sleep(10);
      return {
        seconds: (nowUs() - began) / 1e6,
        acked: counts.acked - before.acked,
        delivered: counts.delivered - before.delivered,
        ack: ack.counts(),
        delivery: delivery.counts(),
        lateness: lateness.counts(),
      };
    },

    /** Stops sending and waits until everything sent is answered. */
    async settle(): Promise<Sent> {
      running = false;
      await looping;
      const end = Date.now() + patienceMs;
      while (wires.some((wire) => wire.pending() > 0) && Date.now() < end) await sleep(10);
      return acked;
    },

    /** Waits until every reader has all that was sent into its room, by the senders of all processes; what went wrong. */
    async verify({ sent }: { sent: Sent }): Promise<string[]> {
      const complete = () => readers.every(({ reader, room }) => reader.isComplete(sent[room]!));
      for (const end = Date.now() + patienceMs; !complete() && Date.now() < end;) await sleep(20);
      const faults = readers
        .map(({ reader, room }): Faults => reader.faults(sent[room]!))
        .reduce(addFaults, noFaults);
      const unanswered = wires.reduce((sum, wire) => sum + wire.pending(), 0);
      return [
        ...Object.entries(faults)
          .filter(([, count]) => count > 0)
          .map(([what, count]) => `deliveries ${what}: ${count}`),
        ...(unanswered > 0 ? [`requests without an answer: ${unanswered}`] : []),
        ...(refusals.length > 0 ? [`refused: ${refusals.length}, the first: ${refusals[0]}`] : []),
        ...losses.slice(0, 3),
      ];
    },

    async close(): Promise<void> {
      for (const wire of wires) wire.close();
    },
  };
}
