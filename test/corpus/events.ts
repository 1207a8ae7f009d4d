/** Cases over a socket of their own, as rows of a table: text and binary frames as they go over the wire. */
import { tokenOf } from './city.ts';
import type { Case, CorpusCity } from './city.ts';
import { enter, frame } from './wire.ts';
import type { RawSocket } from './wire.ts';

const ACK = 7;
const BARRIER = 99;

export interface Fired {
  namespace?: '/rooms' | '/presence';
  /** Text frames, or bytes of the connection. */
  frames: (string | Buffer)[];
  /** Whether the last of them asks for an acknowledgement with the id 7. */
  acked: boolean;
}

type Fires = Fired | ((city: CorpusCity) => Promise<string>);

/**
 * Name, what is fired, what comes of it, and how many rows it makes: `ok` or the code of the acknowledgement; `alive`
 * where none was asked for and the socket still answers; `closed`.
 */
export type EventRow = [name: string, fires: Fires, expected: string | readonly string[], rows?: number];

/** An event with an acknowledgement. */
export const emit = (event: unknown, ...args: unknown[]) => packet(JSON.stringify([event, ...args]));
/** The same, of the namespace /presence. */
export const emitPresence = (event: unknown, ...args: unknown[]) =>
  packet(JSON.stringify([event, ...args]), '/presence');
/** An event with the arguments written out. */
export const packet = (json: string, namespace: Fired['namespace'] = '/rooms'): Fired => ({
  namespace,
  frames: [`42${namespace},${ACK}${json}`],
  acked: true,
});
/** Frames that ask for nothing. */
export const frames = (...all: (string | Buffer)[]): Fired => ({ frames: all, acked: false });

/** The outcome of the acknowledgement `id`; `closed` when the connection ends before. */
async function outcome(raw: RawSocket, namespace: string, id: number): Promise<string> {
  const head = `43${namespace},${id}[`;
  const answer = await raw.next((text) => text.startsWith(head), `the acknowledgement ${id}`);
  if (answer === undefined) return 'closed';
  const [{ ok, error }] = JSON.parse(answer.slice(head.length - 1)) as [
    { ok: boolean; error?: { code: string } },
  ];
  return ok ? 'ok' : error!.code;
}

/** Whether the socket still answers. */
async function lives(raw: RawSocket, namespace: string): Promise<string> {
  const event = namespace === '/rooms' ? '["room.leave",{"room_id":"general"}]' : '["presence.offline",{}]';
  raw.send(`42${namespace},${BARRIER}${event}`);
  return (await outcome(raw, namespace, BARRIER)) === 'closed' ? 'closed' : 'alive';
}

async function fire(city: CorpusCity, { namespace = '/rooms', frames, acked }: Fired): Promise<string> {
  const raw = await enter(city.port, namespace, tokenOf());
  for (const sent of frames) raw.socket.write(typeof sent === 'string' ? frame(sent) : sent);
  const found = await (acked ? outcome(raw, namespace, ACK) : lives(raw, namespace));
  raw.socket.destroy();
  return found;
}

export const eventCases = (rows: readonly EventRow[]): Case[] =>
  rows.map(([name, fires, expected, made = 0]) => ({
    name,
    expected,
    rows: made,
    send: (city) => (typeof fires === 'function' ? fires(city) : fire(city, fires)),
  }));
