/** Plain socket.io clients for tests: connecting, calling with an ack, collecting events. */
import { setTimeout as sleep } from 'node:timers/promises';
import { io } from 'socket.io-client';
import type { ManagerOptions, Socket, SocketOptions } from 'socket.io-client';
import { until } from './until.ts';

const ACK_MS = 10_000;

export interface TestSocket {
  raw: Socket;
  /** Everything received so far, in order. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  events: { name: string; payload: any }[];
  /** Sends an event; the acknowledgement. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  ack(event: string, payload: unknown): Promise<any>;
  /**
   * Sends an event; the data of a positive acknowledgement, an error otherwise. What is asked of Redis is asked again as
   * long as it is unavailable: on a machine that stalls, an answer may take longer than a node waits.
   */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  call(event: string, payload: unknown): Promise<any>;
  /** The payloads of the events `name` so far. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  of(name: string): any[];
  /** The payload of the first event `name` that fits, past or to come. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  next(name: string, fits?: (payload: any) => boolean): Promise<any>;
  close(): void;
}

/** Connects to `url` (with the namespace as its path) and resolves once connected; rejects with the connect_error. */
export async function connect(
  url: string,
  token: string | undefined,
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<TestSocket> {
  const raw = io(url, { auth: { token }, forceNew: true, reconnection: false, ...options });
  const events: TestSocket['events'] = [];
  raw.onAny((name: string, payload: unknown) => events.push({ name, payload }));
  await new Promise((resolve, reject) => {
    const refused = (error: Error) => {
      raw.close();
      reject(error);
    };
    raw.once('connect_error', refused);
    // From here on a failed attempt is the client's own affair: it tries again.
    raw.once('connect', () => resolve(raw.off('connect_error', refused)));
  });
  const ack = (event: string, payload: unknown) => raw.timeout(ACK_MS).emitWithAck(event, payload);
  const of = (name: string) => events.filter((event) => event.name === name).map(({ payload }) => payload);
  return {
    raw,
    events,
    ack,
    of,
    async call(event, payload) {
      let answer = await ack(event, payload);
      const end = Date.now() + ACK_MS;
      while (event.startsWith('presence.') && answer.error?.code === 'unavailable' && Date.now() < end) {
        await sleep(100);
        answer = await ack(event, payload);
      }
      if (!answer.ok)
        throw Object.assign(
          new Error(`${event}: ${answer.error.code} ${answer.error.message}`),
          answer.error,
        );
      return answer.data;
    },
    next: (name, fits = () => true) => until(() => of(name).find(fits), `event ${name}`),
    close: () => void raw.close(),
  };
}
