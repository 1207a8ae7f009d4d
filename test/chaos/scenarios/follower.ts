/** A client that follows one room over every reconnection, and checks that it is sent each change once, in order. */
import { performance } from 'node:perf_hooks';
import { io } from 'socket.io-client';
import type { Socket } from 'socket.io-client';

type Answer =
  | {
      ok: true;
      data: { room: { last_change_seq: number }; messages: { change_seq: number }[]; has_more: boolean };
    }
  | { ok: false; error: { code: string; retryable: boolean; retry_after_ms?: number } };

export interface Follower {
  readonly name: string;
  readonly roomId: string;
  readonly socket: Socket;
  /** The first change that it is owed is the one after this; undefined before its first join. */
  began: number | undefined;
  /** The highest change it has. */
  at: number | undefined;
  /** Connected, and its room answered. */
  joined: boolean;
  /** When its room answered last, on the monotonic clock in milliseconds. */
  joinedAt: number;
  /** How many attempts to reconnect failed. */
  refusals: number;
  problems: string[];
}

const JOIN_MS = 20_000;
const AGAIN_MS = 500;

/** Connects with socket.io-client's own reconnection; joins without `since` once, and with it from then on. */
export function follow(name: string, url: string, token: string, roomId: string): Follower {
  const socket = io(`${url}/rooms`, { auth: { token }, forceNew: true, transports: ['websocket'] });
  const follower: Follower = {
    name,
    roomId,
    socket,
    began: undefined,
    at: undefined,
    joined: false,
    joinedAt: 0,
    refusals: 0,
    problems: [],
  };
  const take = (change: number, how: string) => {
    if (change !== follower.at! + 1)
      follower.problems.push(`${name}: ${change} came ${how} after ${follower.at}`);
    follower.at = change;
  };

  /** On the present connection. */
  let answered = false;
  // With a callback: what follows the answer may be handed out before a promise of it is.
  const join = () => {
    const since = follower.at === undefined ? {} : { since: follower.at };
    const ask = { room_id: roomId, ...since };
    socket.timeout(JOIN_MS).emit('room.join', ask, (late: Error | null, answer: Answer) => {
      if (late) return void (socket.connected && join());
      if (!answer.ok) {
        const { code, retryable, retry_after_ms } = answer.error;
        if (!retryable) follower.problems.push(`${name}: room.join answered ${code}`);
        else setTimeout(() => void (socket.connected && join()), retry_after_ms ?? AGAIN_MS);
        return;
      }
      const { room, messages, has_more } = answer.data;
      answered = true;
      if (follower.at === undefined) follower.began = follower.at = room.last_change_seq;
      else for (const { change_seq } of messages) take(change_seq, 'in the answer');
      if (follower.at !== room.last_change_seq && !has_more) {
        follower.problems.push(`${name}: the answer ends at ${follower.at} of ${room.last_change_seq}`);
      }
      if (has_more) return join();
      follower.joined = true;
      follower.joinedAt = performance.now();
    });
  };
  socket.on('connect', join);
  socket.on('disconnect', () => (follower.joined = answered = false));
  socket.io.on('reconnect_error', () => follower.refusals++);
  const live = ({ message }: { message: { change_seq: number } }) => {
    if (!answered) follower.problems.push(`${name}: ${message.change_seq} came before the answer`);
    // While there is more, the next answer has it too.
    else if (follower.joined) take(message.change_seq, 'live');
  };
  for (const event of ['room.message', 'room.message.updated', 'room.message.deleted'])
    socket.on(event, live);
  return follower;
}
