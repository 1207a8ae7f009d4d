/** The shapes of the wire, taken as types only from the contract's schemas. */
export type { PresenceCount, UserPresence } from '../../src/contract/presence.ts';
export type { FeedEvent, FeedScope, Home } from '../../src/contract/feed.ts';
export type { Message, MessagePage } from '../../src/contract/messages.ts';
export type { ReadMark, Room, RoomMember } from '../../src/contract/rooms.ts';
export type { ChatMessage, Invocation, InvocationStatus, Profile } from '../../src/contract/second-me.ts';
