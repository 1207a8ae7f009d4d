/** A load of clients that come back: each has one room open, goes, and is owed what was sent meanwhile. */
import { createHistogram } from '../measure/histogram.ts';
import { nowUs } from './clock.ts';
import { openAll } from './crowd.ts';
import { addFaults, createReader, noFaults } from './ledger.ts';
import { readMarker } from './marker.ts';
import type { Wire } from './wire.ts';

export interface ResumeOptions {
  rooms: string[];
  clients: { url: string; token: string; userId: string; room: number }[];
  /** How the server is told where a client left off: in the join, or in the handshake as the tutorial has it. */
  offset: 'join' | 'handshake';
}

export type ResumeLoad = ReturnType<typeof create>;

export interface Resumed {
  /** Until the last one had everything; NaN if one never had. */
  seconds: number;
  /** ms from the start to the moment a client had everything. */
  p50: number;
  problems: string[];
}

const OK = Buffer.from('"ok":true');
const CAUGHT_UP_MS = 60_000;

export function create({ rooms, clients, offset }: ResumeOptions) {
  let wires: Wire[] = [];

  const join = (wire: Wire, payload: string) =>
    new Promise<{ frame: Buffer; at: number }>((resolve, reject) => {
      wire.request('/rooms', 'room.join', payload, (frame, at) => {
        if (frame.indexOf(OK, at) === at + 2) resolve({ frame, at });
        else reject(new Error(`a join was refused: ${String(frame).slice(0, 300)}`));
      });
    });
  const leave = () => {
    for (const wire of wires) wire.close();
    wires = [];
  };

  return {
    /** Opens every client's room once, so that they are members, and closes all connections. */
    async visit({ atOnce }: { atOnce: number }): Promise<void> {
      await openAll(clients, atOnce, async ({ url, token, room }, open) => {
        const wire = await open({ url, namespaces: ['/rooms'], auth: `{"token":"${token}"}` });
        wires.push(wire);
        await join(wire, `{"room_id":"${rooms[room]!}"}`);
      });
      leave();
    },

    /** All come back at once, having seen nothing, and are owed `missed` messages each, of one sender. */
    async resume({ missed }: { missed: number }): Promise<Resumed> {
      const times = createHistogram();
      const began = nowUs();
      let lastUs = began;
      let complete = 0;
      let allComplete = () => {};
      const done = new Promise<void>((resolve) => (allComplete = resolve));
      const readers = clients.map(() => createReader(1));
      const problems: string[] = [];
      const look = (n: number, frame: Buffer, at: number) => {
        const reader = readers[n]!;
        const before = reader.isComplete([missed]);
        for (let next = at; ;) {
          const marker = readMarker(frame, next);
          if (!marker) break;
          reader.saw(0, marker.n);
          next = marker.end;
        }
        if (before || !reader.isComplete([missed])) return;
        lastUs = nowUs();
        times.record(lastUs - began);
        if (++complete === clients.length) allComplete();
      };
      const deadline = setTimeout(() => allComplete(), CAUGHT_UP_MS);
      const entering = openAll([...clients.entries()], clients.length, async ([n, client], open) => {
        const { url, token, userId, room } = client;
        const wire = await open({
          url,
          namespaces: ['/rooms'],
          auth: offset === 'handshake' ? `{"token":"${token}","serverOffset":0}` : `{"token":"${token}"}`,
          onEvent: (frame, at) => look(n, frame, at),
          onLost: (reason) => problems.push(`${userId} lost its connection: ${reason}`),
        });
        wires.push(wire);
        const since = offset === 'join' ? ',"since":0' : '';
        const { frame, at } = await join(wire, `{"room_id":"${rooms[room]!}"${since}}`);
        // The tutorial answers a join with the latest messages too: what the handshake owes comes as events.
        if (offset === 'join') look(n, frame, at);
      });
      await Promise.all([entering, done]);
      clearTimeout(deadline);
      const faults = readers.map((reader) => reader.faults([missed])).reduce(addFaults, noFaults);
      for (const [what, count] of Object.entries(faults))
        if (count > 0) problems.push(`messages ${what}: ${count}`);
      leave();
      return {
        seconds: complete === clients.length ? (lastUs - began) / 1e6 : NaN,
        p50: times.quantile(0.5) / 1e3,
        problems,
      };
    },
  };
}
