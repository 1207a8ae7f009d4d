/** What a frontend sees of rooms: the snapshot of one, the handle that acts in it, and the list of them all. */
import type { Message } from '../contract/messages.ts';
import type { Room } from '../contract/rooms.ts';
import type { CityError } from './errors.ts';
import type { Store } from './types.ts';

/** A message of ours on its way. It leaves the list when it is among `messages`. */
export interface Outgoing {
  readonly client_id: string;
  readonly room_id: string;
  readonly body: string;
  /** `sending`: under way or waiting for the connection or its turn; `failed`: refused for good, see `error`. */
  readonly state: 'sending' | 'failed';
  readonly error: CityError | null;
}

export type ClosedReason = 'left' | 'banned' | 'kicked' | 'deleted';

export interface RoomState {
  readonly room_id: string;
  /** `joining` also while the connection is lost before the first answer; `error`: refused, see `error`. */
  readonly status: 'joining' | 'live' | 'catching_up' | 'closed' | 'error';
  readonly room: Room | null;
  /** Ordered by `seq` without a gap or a repeat, each in its latest state; tombstones have `deleted_at`. */
  readonly messages: readonly Message[];
  readonly outgoing: readonly Outgoing[];
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
  readonly olderError: CityError | null;
  /** Ids of the others who are typing. */
  readonly typing: readonly string[];
  /** Users who have the room open: their number, and the ids of those that are known (≤ 200 at first). */
  readonly membersOnline: number;
  readonly online: readonly string[];
  readonly unread: number;
  /** `seq` of the first message that was unread when the room was joined. */
  readonly firstUnreadSeq: number | null;
  readonly closed: ClosedReason | null;
  readonly error: CityError | null;
}

export interface RoomHandle extends Store<RoomState> {
  readonly room_id: string;
  /** Shows the message as `outgoing` at once and sends it, again and again until the city has it; the `client_id`. */
  send(body: string): string;
  /** Sends a failed message again, under the same `client_id`. */
  retry(clientId: string): void;
  /** Takes a failed message off the list. */
  discard(clientId: string): void;
  /** Edits a message of one's own; shown at once from the answer. Rejects with a CityError. */
  edit(messageId: string, body: string): Promise<Message>;
  /** Deletes a message of one's own, or any as a moderator. Rejects with a CityError. */
  delete(messageId: string): Promise<Message>;
  /** To be called with every keystroke (true) and when the draft is gone (false); sends at most every 3 s. */
  setTyping(typing: boolean): void;
  /** Moves the read mark up to `seq`, or to the newest message. */
  read(seq?: number): void;
  /** Loads a page of history before what is shown. */
  loadOlder(): Promise<void>;
  /** False while the reader has scrolled up: then old messages stay in memory. */
  follow(atEnd: boolean): void;
  /** Ends this handle; the last one of a room ends the subscription. Membership stays, and so does what is being sent. */
  leave(): void;
}

export interface RoomListState {
  /** Null until the first answer; default rooms first, then by name. */
  readonly rooms: readonly Room[] | null;
  readonly hasMore: boolean;
  readonly loading: boolean;
  readonly error: CityError | null;
}

/** The rooms of the city; kept fresh while somebody is subscribed. */
export interface Rooms extends Store<RoomListState> {
  refresh(): Promise<void>;
  loadMore(): Promise<void>;
  /** Opens a room by its id or slug; handles of one room share one subscription. */
  join(ref: string): RoomHandle;
  /** The room without opening it: what is known of it here, and sending to it. */
  peek(ref: string): Omit<RoomHandle, 'leave'>;
}
