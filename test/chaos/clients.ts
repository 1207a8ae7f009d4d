/** Clients of an episode on plain socket.io-client: they send, alter, read and resume, and write it all down. */
import { Manager } from 'socket.io-client';
import type { Socket } from 'socket.io-client';
import type { Message } from '../../src/contract/messages.ts';
import type { Alteration, Ledger, Seen, Send, Session, View } from './ledger.ts';

const ACK_MS = 6_000;
const HEARTBEAT_MS = 15_000;
const PAGE = 200;

/** An acknowledgement as the contract has it. */
type Answer =
  | { ok: true; data: never }
  | { ok: false; error: { code: string; retryable: boolean; retry_after_ms?: number } };

export interface ClientOptions {
  url: string;
  token: string;
  userId: string;
  /** The rooms it keeps open. */
  rooms: string[];
  ledger: Ledger;
  random: () => number;
  /** Over a balancer without stickiness a client must not poll. */
  transports: string[];
  /** Gives up after one attempt, as a client that was closed does. */
  careless: boolean;
}

export type Client = ReturnType<typeof startClient>;

const seen = ({ change_seq, seq, id, body }: Message): Seen => ({
  change_seq,
  seq,
  id,
  body,
  at: performance.now(),
});

/** Connects, opens its rooms, and keeps all of it up through everything until `close()`. */
export function startClient({
  url,
  token,
  userId,
  rooms,
  ledger,
  random,
  transports,
  careless,
}: ClientOptions) {
  const manager = new Manager(url, { transports, forceNew: true } as object);
  const socket = manager.socket('/rooms', { auth: { token } });
  const presence = manager.socket('/presence', { auth: { token } });
  const views = new Map<string, View>();
  const current = new Map<string, Session>();
  const timers = new Set<NodeJS.Timeout>();
  let closed = false;
  let count = 0;
  let pending = 0;

  for (const room of rooms) {
    const view: View = { reader: userId, room, seen: 0, sessions: [] };
    views.set(room, view);
    ledger.views.push(view);
  }

  const later = (ms: number, run: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      if (!closed) run();
    }, ms);
    timers.add(timer);
  };
  const backoff = (answer?: Answer) => {
    const told = answer && !answer.ok ? (answer.error.retry_after_ms ?? 0) : 0;
    return told + 200 + random() * 300;
  };

  /** Emits with a deadline; `done` runs in the tick of the acknowledgement, undefined when none came. */
  const ask = (name: string, payload: object, done: (answer: Answer | undefined) => void) =>
    void socket.timeout(ACK_MS).emit(name, payload, (late: Error | null, answer: Answer) => {
      if (!closed) done(late ? undefined : answer);
    });

  /** Reads over REST what an answer had no room for; resolves false when it could not. */
  const page = async (room: string, from: number, session: Session): Promise<boolean> => {
    for (let since = from; since < session.head;) {
      const query = `since=${since}&limit=${PAGE}`;
      const response = await fetch(`${url}/city/rooms/${room}/messages?${query}`, {
        headers: { authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(ACK_MS),
      });
      if (!response.ok) return false;
      const { messages, has_more } = (await response.json()) as { messages: Message[]; has_more: boolean };
      // What changed after the answer comes live.
      session.snapshot.push(...messages.filter(({ change_seq }) => change_seq <= session.head).map(seen));
      since = has_more ? messages.at(-1)!.change_seq : session.head;
    }
    return true;
  };

  const open = (room: string, connection: string) => {
    const view = views.get(room)!;
    const again = () => later(backoff(), () => socket.id === connection && open(room, connection));
    const since = view.sessions.length > 0 ? view.seen : undefined;
    ask('room.join', { room_id: room, ...(since === undefined ? {} : { since }) }, (answer) => {
      if (socket.id !== connection) return;
      if (!answer?.ok) {
        if (answer && !answer.error.retryable)
          ledger.refusals.push(`${answer.error.code}: ${userId} joins ${room}`);
        return again();
      }
      const data = answer.data as {
        room: { last_change_seq: number };
        messages: Message[];
        has_more: boolean;
      };
      const session: Session = {
        since,
        head: data.room.last_change_seq,
        snapshot: data.messages.map(seen),
        live: [],
      };
      current.set(room, session);
      const complete = () => {
        view.sessions.push(session);
        view.seen = Math.max(view.seen, session.head, session.live.at(-1)?.change_seq ?? 0);
      };
      if (since === undefined || !data.has_more) return complete();
      // Until the pages are read, nothing of this session counts as seen.
      page(room, data.messages.at(-1)!.change_seq, session).then(
        (read) => {
          if (current.get(room) !== session) return;
          if (read) return complete();
          current.delete(room);
          again();
        },
        () => {
          if (current.get(room) === session) current.delete(room);
          again();
        },
      );
    });
  };

  const receive = ({ room_id, message }: { room_id: string; message: Message }) => {
    // Without an answer to go on from, an event says nothing.
    const session = current.get(room_id);
    if (!session) return;
    session.live.push(seen(message));
    const view = views.get(room_id)!;
    if (view.sessions.at(-1) === session) view.seen = Math.max(view.seen, message.change_seq);
  };

  socket.on('connect', () => {
    for (const room of rooms) open(room, socket.id!);
  });
  socket.on('disconnect', () => current.clear());
  for (const name of ['room.message', 'room.message.updated', 'room.message.deleted'])
    socket.on(name, receive);
  socket.on('secondme.reply', ({ invocation_id, reply }: { invocation_id: string; reply: string }) => {
    ledger.asks.find(({ id }) => id === invocation_id)?.replies.push(reply);
  });
  const beat = setInterval(() => presence.volatile.emit('presence.heartbeat', {}, () => {}), HEARTBEAT_MS);

  const alter = (asked: Alteration) => {
    pending++;
    const { kind, room, message, body } = asked;
    const attempt = () => {
      const payload = { room_id: room, message_id: message, ...(kind === 'edit' ? { body } : {}) };
      ask(`room.message.${kind}`, payload, (answer) => {
        if (!answer?.ok && (!answer || answer.error.retryable)) return later(backoff(answer), attempt);
        pending--;
        if (answer.ok) asked.ackedAt = performance.now();
        else ledger.refusals.push(`${answer.error.code}: ${userId} ${kind}s ${message}`);
      });
    };
    attempt();
  };

  return {
    userId,
    socket,
    presence,
    /** Requests that are neither acknowledged nor given up. */
    pending: () => pending,
    /** Whether every room is open, with nothing left to page. */
    isCurrent: () =>
      rooms.every((room) => current.has(room) && views.get(room)!.sessions.includes(current.get(room)!)),

    /** Sends a message of its own, and one in ten is altered once it is acknowledged. */
    send(room: string): void {
      const token = `${userId}-${++count}`;
      const sent: Send = {
        token,
        sender: userId,
        room,
        body: `${token} ${'.'.repeat(Math.floor(random() * 200))}`,
        sentAt: performance.now(),
        attempts: 0,
      };
      ledger.sends.push(sent);
      pending++;
      const attempt = () => {
        sent.attempts++;
        ask('room.message.send', { room_id: room, body: sent.body, client_id: token }, (answer) => {
          if (!answer?.ok && careless) {
            pending--;
            sent.abandoned = true;
          } else if (!answer?.ok && (!answer || answer.error.retryable)) {
            later(backoff(answer), attempt);
          } else if (!answer.ok) {
            pending--;
            ledger.refusals.push(`${answer.error.code}: ${userId} sends ${token}`);
          } else {
            pending--;
            const { id, seq, change_seq } = (answer.data as { message: Message }).message;
            Object.assign(sent, { ackedAt: performance.now(), ack: { id, seq, change_seq } });
            const chance = random();
            if (chance > 0.1) return;
            const change: Alteration =
              chance < 0.07
                ? { kind: 'edit', room, message: id, body: `${token} edited` }
                : { kind: 'delete', room, message: id, body: '' };
            ledger.alterations.push(change);
            alter(change);
          }
        });
      };
      attempt();
    },

    close(): void {
      closed = true;
      clearInterval(beat);
      for (const timer of timers) clearTimeout(timer);
      for (const each of [socket, presence] as Socket[]) each.close();
    },
  };
}
