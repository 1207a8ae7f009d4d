/** What a frontend sees of the client: its options, its handles and the shapes of their snapshots. */
import type { Role } from '../contract/auth.ts';
import type { ErrorCode } from '../contract/errors.ts';
import type { FeedEvent, FeedScope } from '../contract/feed.ts';
import type { PresenceStatus, UserPresence } from '../contract/presence.ts';
import type { ChatMessage, InvocationStatus, Profile } from '../contract/second-me.ts';
import type { CityError } from './errors.ts';
import type { Rest } from './rest.ts';
import type { Rooms } from './room-types.ts';
import type { Ask, Listen } from './wire.ts';

export type * from './room-types.ts';
export type { Role } from '../contract/auth.ts';
export type { ErrorCode, FieldError } from '../contract/errors.ts';
export type { FeedEvent, FeedKind, FeedScope, Home } from '../contract/feed.ts';
export type { Message, MessagePage } from '../contract/messages.ts';
export type { ModerationAct, ModerationAction, QueuedReport, Report } from '../contract/moderation.ts';
export type { PresenceCount, PresenceStatus, UserPresence } from '../contract/presence.ts';
export type { ReadMark, Room, RoomMember } from '../contract/rooms.ts';
export type { ChatMessage, Invocation, InvocationStatus, Profile } from '../contract/second-me.ts';

/** An observable value, as React's `useSyncExternalStore` takes it: a snapshot is the same object until something changed. */
export interface Store<T> {
  getSnapshot(): T;
  /** Calls `listener` after every change; the answer ends that. */
  subscribe(listener: () => void): () => void;
}

export interface CityOptions {
  /** Where the city is, e.g. `https://city.example`; the page's own origin when absent. */
  url?: string;
  /** A token that is not renewed; for those that are, `getToken`. */
  token?: string;
  /**
   * Gives a good token whenever one is needed: at first, a minute before the last one expires, and when one was refused.
   * Null: there is none any more, the person is signed out. A rejection is tried again.
   */
  getToken?: () => string | null | Promise<string | null>;
  /** Newest messages kept of a room while its reader follows its end; 1,000 when absent. */
  messagesKept?: number;
  /** Milliseconds without input after which this client counts as away; 300,000 when absent. */
  awayAfterMs?: number;
}

/** Whom the token names. */
export interface Me {
  readonly user_id: string;
  readonly username: string;
  readonly roles: readonly Role[];
}

/** The city's own codes, and three of the client: no connection, no answer in time, the client was closed. */
export type ClientErrorCode = ErrorCode | 'offline' | 'timeout' | 'closed';

export interface ConnectionState {
  /**
   * `connecting`: for the first time; `live`; `lost`: comes back by itself; `draining`: the node is going away, comes
   * back by itself; `refused`: will not come back without `reconnect()` (banned, or no token any more); `closed`.
   */
  readonly phase: 'connecting' | 'live' | 'lost' | 'draining' | 'refused' | 'closed';
  /** Why it is lost or refused, where the city said so. */
  readonly code: ClientErrorCode | null;
}

export interface PresenceState {
  readonly mine: PresenceStatus;
  /** Everybody in view who is not offline, by id. */
  readonly users: Readonly<Record<string, UserPresence>>;
  readonly online: number;
  readonly away: number;
}

export interface Presence extends Store<PresenceState> {
  /** Keeps users and rooms in view, which matters in a city of over 1,000 online; the answer ends it. */
  watch(what: { user_ids?: readonly string[]; room_ids?: readonly string[] }): () => void;
  /** Says that there was input; the client sees that of a page by itself. */
  active(): void;
}

export interface FeedState {
  /** Newest first; null until the first answer. */
  readonly events: readonly FeedEvent[] | null;
  readonly hasOlder: boolean;
  readonly loadingOlder: boolean;
  readonly error: CityError | null;
}

/** The feed of one scope; live while somebody is subscribed. */
export interface Feed extends Store<FeedState> {
  readonly scope: FeedScope;
  refresh(): Promise<void>;
  loadOlder(): Promise<void>;
}

/** A question and its growing answer. */
export interface Turn {
  readonly client_id: string;
  readonly invocation_id: string | null;
  /** Null when it was asked on another device and only its reply is known here. */
  readonly prompt: string | null;
  readonly status: 'sending' | 'refused' | InvocationStatus;
  /** As far as it has come. */
  readonly reply: string;
  readonly fallback: boolean;
  readonly tokens_used: number | null;
  readonly latency_ms: number | null;
  readonly error: CityError | null;
}

export interface SecondMeState {
  /** The conversation before `turns`, oldest first; null until the first answer. */
  readonly history: readonly ChatMessage[] | null;
  readonly turns: readonly Turn[];
  readonly profile: Profile | null;
  readonly error: CityError | null;
}

/** The conversation with one's Second Me; loaded by the first subscription or question. */
export interface SecondMe extends Store<SecondMeState> {
  /** Asks; the turn's `client_id`. Repeated with the same key until the city has it. */
  ask(prompt: string): string;
  /** Asks a refused turn again. */
  retry(clientId: string): void;
  /** Takes a refused turn off the list. */
  discard(clientId: string): void;
  /** By `client_id` or `invocation_id`. Rejects with a CityError. */
  cancel(id: string): Promise<void>;
  refresh(): Promise<void>;
  /** Forgets the conversation. Rejects with a CityError. */
  clear(): Promise<void>;
}

export interface CityClient {
  readonly connection: Store<ConnectionState>;
  /** Null until there is a token. */
  readonly me: Store<Me | null>;
  /** Display names by user and agent id, learned from messages, members and notices. */
  readonly names: Store<Readonly<Record<string, string>>>;
  /** The display name of an id, as the city would make one up for an unknown user. */
  nameOf(id: string): string;
  /** Every REST call by its name in the contract: `rest.createRoom({ name })`. Rejects with a CityError. */
  readonly rest: Rest;
  readonly rooms: Rooms;
  readonly presence: Presence;
  feed(scope?: FeedScope): Feed;
  readonly secondMe: SecondMe;
  /** The events of both namespaces as they come. */
  readonly on: Listen;
  /** Calls either namespace and waits for the acknowledgement. Rejects with a CityError. */
  readonly ask: Ask;
  /** Tries to connect now, also after `refused`. */
  reconnect(): void;
  /** Says goodbye and lets go of everything; what is still being sent is given up. */
  close(): void;
}
