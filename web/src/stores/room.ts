/** The open room: its log, who is here, who types; joined, resumed after every reconnection, and left. */
import { api } from '../api.ts';
import { asCityError, type CityError } from '../errors.ts';
import { highestChange, merge } from '../log.ts';
import { askRooms, isLive } from '../sockets.ts';
import { createStore } from '../store.ts';
import type { Message, ReadMark, Room } from '../types.ts';
import { learnMembers, patchRoom, refreshRooms } from './city.ts';
import { learnNames } from './names.ts';
import { watchRoom } from './presence.ts';

type ClosedReason = 'left' | 'banned' | 'kicked' | 'deleted';

interface OpenRoom {
  readonly ref: string;
  readonly room: Room | null;
  readonly error: CityError | null;
  readonly closed: ClosedReason | null;
  readonly log: readonly Message[];
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
  readonly olderError: CityError | null;
  readonly catchingUp: boolean;
  readonly typing: readonly string[];
  readonly here: readonly string[];
  readonly membersOnline: number;
  /** The first message that was unread when the room was opened. */
  readonly newFrom: number | null;
}

const PAGE = 50;
const LOG_KEPT = 1_000;
const LOG_MAX = 1_500;

export const roomStore = createStore<OpenRoom | null>(null);

/** Rises with every opening, joining and closing: what belongs to an older number is dropped. */
let turn = 0;
/** Every change up to this number has been seen. */
let cursor: number | null = null;
/** The highest change seen live, which counts as seen only once the gap below it is closed. */
let liveHighest = 0;
/** The `seq` that the loaded part begins at. */
let low = 1;
/** Events between the answer to room.join and its handling here. */
let early: { room_id: string; message: Message }[] = [];
let joining = false;
/** Whether the reader is at the end of the log, where its oldest part may be let go. */
let atEnd = true;

const patch = (part: Partial<OpenRoom>) => roomStore.set((state) => state && { ...state, ...part });
const openId = () => roomStore.get()?.room?.id ?? null;
export const openRoomId = openId;

const learnAuthors = (messages: readonly Message[]) =>
  learnNames(messages.map((m) => [m.author_agent_id ?? m.author_user_id, m.username] as const));

export function openRoom(ref: string): void {
  turn += 1;
  cursor = null;
  liveHighest = 0;
  low = 1;
  early = [];
  atEnd = true;
  roomStore.set(() => ({
    ref,
    room: null,
    error: null,
    closed: null,
    log: [],
    hasOlder: false,
    loadingOlder: false,
    olderError: null,
    catchingUp: false,
    typing: [],
    here: [],
    membersOnline: 0,
    newFrom: null,
  }));
  if (isLive()) void joinOpenRoom();
}

export function closeRoom(): void {
  const state = roomStore.get();
  turn += 1;
  joining = false;
  roomStore.set(() => null);
  if (!state || state.closed || !isLive()) return;
  askRooms('room.leave', { room_id: state.ref }).catch(() => undefined);
  if (state.room) watchRoom(state.room.id, false);
}

/** Joins the open room, or resumes it from the last change seen; called on every connection. */
export async function joinOpenRoom(): Promise<void> {
  const state = roomStore.get();
  if (!state || state.closed) return;
  const mine = ++turn;
  const since = cursor;
  joining = true;
  early = [];
  try {
    const answer = await askRooms(
      'room.join',
      since === null ? { room_id: state.ref } : { room_id: state.ref, since },
    );
    if (mine !== turn) return;
    const { room, messages } = answer;
    learnAuthors(messages);
    if (since === null) {
      low = messages[0]?.seq ?? room.last_seq + 1;
      cursor = room.last_change_seq;
      patch({
        log: merge([], messages, low),
        hasOlder: low > 1,
        newFrom: room.unread > 0 ? room.last_seq - room.unread + 1 : null,
      });
    } else {
      patch({ log: merge(state.log, messages, low) });
      cursor = answer.has_more ? highestChange(messages, since) : Math.max(since, room.last_change_seq);
    }
    liveHighest = Math.max(cursor, room.last_change_seq);
    patch({ room, membersOnline: answer.members_online, error: null, typing: [] });
    patchRoom(room.id, { ...room, joined: true });
    joining = false;
    for (const event of early.splice(0)) onRoomMessage(event, since !== null && answer.has_more);
    watchRoom(room.id, true);
    void loadHere(mine);
    if (since !== null && answer.has_more) await catchUp(mine, room.id);
  } catch (error) {
    if (mine !== turn) return;
    joining = false;
    const failure = asCityError(error);
    if (failure.retryable && isLive()) {
      setTimeout(() => mine === turn && void joinOpenRoom(), failure.retryAfterMs ?? 2_000);
    }
    if (!failure.retryable || roomStore.get()?.room === null) patch({ error: failure });
  }
}

/** Pages what is still missing after a long absence, while live events already flow. */
async function catchUp(mine: number, roomId: string): Promise<void> {
  patch({ catchingUp: true });
  try {
    for (let more = true; more;) {
      const page = await api.messages(roomId, { since: cursor ?? 0, limit: 200 });
      if (mine !== turn) return;
      learnAuthors(page.messages);
      cursor = highestChange(page.messages, cursor ?? 0);
      roomStore.set((state) => state && { ...state, log: merge(state.log, page.messages, low) });
      more = page.has_more && page.messages.length > 0;
    }
    cursor = Math.max(cursor ?? 0, liveHighest);
    patch({ catchingUp: false });
  } catch (error) {
    if (mine !== turn) return;
    const wait = asCityError(error).retryAfterMs ?? 2_000;
    setTimeout(() => mine === turn && void catchUp(mine, roomId), wait);
  }
}

async function loadHere(mine: number): Promise<void> {
  const ref = roomStore.get()?.ref;
  if (!ref) return;
  void learnMembers(ref);
  const detail = await api.room(ref).catch(() => null);
  if (detail && mine === turn) patch({ here: detail.online_members, membersOnline: detail.members_online });
}

/** Loads the page of history before what is loaded. */
export async function loadOlder(): Promise<void> {
  const state = roomStore.get();
  if (!state?.room || !state.hasOlder || state.loadingOlder) return;
  const { id } = state.room;
  patch({ loadingOlder: true, olderError: null });
  try {
    const page = await api.messages(id, { before_seq: low, limit: PAGE });
    if (openId() !== id) return;
    learnAuthors(page.messages);
    low = page.messages[0]?.seq ?? low;
    roomStore.set(
      (now) =>
        now && {
          ...now,
          log: merge(now.log, page.messages, low),
          hasOlder: page.has_more && page.messages.length > 0,
          loadingOlder: false,
        },
    );
  } catch (error) {
    if (openId() === id) patch({ loadingOlder: false, olderError: asCityError(error) });
  }
}

let waiting: Message[] = [];
let flushing: ReturnType<typeof setTimeout> | null = null;

function flush(): void {
  flushing = null;
  const incoming = waiting;
  waiting = [];
  learnAuthors(incoming);
  roomStore.set((state) => {
    if (!state?.room) return state;
    const id = state.room.id;
    let log = merge(
      state.log,
      incoming.filter((message) => message.room_id === id),
      low,
    );
    let { hasOlder } = state;
    if (atEnd && log.length > LOG_MAX) {
      log = log.slice(-LOG_KEPT);
      low = log[0]?.seq ?? low;
      hasOlder = true;
    }
    const authors = new Set(incoming.map((message) => message.author_user_id));
    const typing = state.typing.filter((id) => !authors.has(id));
    return { ...state, log, hasOlder, typing: typing.length === state.typing.length ? state.typing : typing };
  });
}

/** Shows messages soon, many at once when they come in bursts. */
function show(messages: readonly Message[]): void {
  waiting.push(...messages);
  flushing ??= setTimeout(flush, 30);
}

/** Takes in a live change of the open room; inside a gap it is shown but does not move the cursor. */
export function onRoomMessage(event: { room_id: string; message: Message }, inGap?: boolean): void {
  if (joining) {
    early.push(event);
    return;
  }
  const state = roomStore.get();
  if (state?.room?.id !== event.room_id) return;
  const { change_seq } = event.message;
  liveHighest = Math.max(liveHighest, change_seq);
  if (!(inGap ?? state.catchingUp)) cursor = Math.max(cursor ?? 0, change_seq);
  show([event.message]);
}

/** Shows the state of a message that an acknowledgement brought, ahead of its event. */
export function showMessage(message: Message): void {
  if (openId() === message.room_id) show([message]);
}

export function onArrival(
  event: { room_id: string; user_id: string; username: string; members_online: number },
  here: boolean,
): void {
  learnNames([[event.user_id, event.username]]);
  patchRoom(event.room_id, { members_online: event.members_online });
  roomStore.set((state) => {
    if (state?.room?.id !== event.room_id) return state;
    const others = state.here.filter((id) => id !== event.user_id);
    const typing = here ? state.typing : state.typing.filter((id) => id !== event.user_id);
    return {
      ...state,
      membersOnline: event.members_online,
      here: here ? [...others, event.user_id] : others,
      typing,
    };
  });
}

export function onRoomCount(roomId: string, membersOnline: number): void {
  patchRoom(roomId, { members_online: membersOnline });
  if (openId() === roomId) patch({ membersOnline });
}

export function onTyping(roomId: string, userIds: readonly string[]): void {
  if (openId() === roomId) patch({ typing: userIds });
}

export function onClosed(roomId: string, reason: ClosedReason): void {
  if (openId() !== roomId) return;
  turn += 1;
  patch({ closed: reason, typing: [] });
  void refreshRooms();
}

export function onConnectionLost(): void {
  if (roomStore.get()?.typing.length) patch({ typing: [] });
}

export function setAtEnd(value: boolean): void {
  atEnd = value;
}

let readSent = { roomId: '', seq: 0 };

/** Moves the read mark to `seq`, once for each message. */
export async function markRead(seq: number): Promise<void> {
  const room = roomStore.get()?.room;
  if (!room || (readSent.roomId === room.id && readSent.seq >= seq)) return;
  const before = readSent;
  readSent = { roomId: room.id, seq };
  try {
    const mark: Omit<ReadMark, 'room_id'> = await askRooms('room.read', { room_id: room.id, seq });
    patchRoom(room.id, { unread: mark.unread });
  } catch {
    if (readSent.roomId === room.id && readSent.seq === seq) readSent = before;
  }
}

export function forgetNewMark(): void {
  if (roomStore.get()?.newFrom != null) patch({ newFrom: null });
}

export async function editMessage(message: Message, body: string): Promise<void> {
  const answer = await askRooms('room.message.edit', {
    room_id: message.room_id,
    message_id: message.id,
    body,
  });
  showMessage(answer.message);
}

export async function deleteMessage(message: Message): Promise<void> {
  const answer = await askRooms('room.message.delete', {
    room_id: message.room_id,
    message_id: message.id,
  });
  showMessage(answer.message);
}

export function sayTyping(typing: boolean): void {
  const id = openId();
  if (id && isLive()) askRooms('room.typing', { room_id: id, typing }).catch(() => undefined);
}
