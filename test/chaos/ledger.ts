/** The evidence of an episode: what every client asked for, was told and saw, with when (performance.now(), ms). */

/** A message that a client wants sent; its `token` is its client_id and the first word of its body. */
export interface Send {
  token: string;
  sender: string;
  room: string;
  body: string;
  sentAt: number;
  attempts: number;
  ackedAt?: number;
  ack?: { id: string; seq: number; change_seq: number };
  /** Its sender gave up after one attempt that was not acknowledged. */
  abandoned?: true;
}

/** An edit or a deletion of a message by its author, asked for until it is acknowledged. */
export interface Alteration {
  kind: 'edit' | 'delete';
  room: string;
  message: string;
  /** The body afterwards. */
  body: string;
  ackedAt?: number;
}

/** One change of a room as a client saw it. */
export interface Seen {
  change_seq: number;
  seq: number;
  id: string;
  body: string;
  at: number;
}

/** From one answer to `room.join` to the end of that subscription. */
export interface Session {
  /** What it asked to resume from. */
  since: number | undefined;
  /** `room.last_change_seq` of the answer. */
  head: number;
  snapshot: Seen[];
  live: Seen[];
}

/** One client's picture of one room, over all its connections. */
export interface View {
  reader: string;
  room: string;
  /** The highest change number seen. */
  seen: number;
  sessions: Session[];
}

export interface Ask {
  key: string;
  user: string;
  prompt: string;
  /** The invocation, once it was accepted. */
  id?: string;
  /** Replies that came to the user's sockets. */
  replies: string[];
}

export interface Ledger {
  sends: Send[];
  alterations: Alteration[];
  views: View[];
  asks: Ask[];
  /** What was refused for good although nothing was wrong with it: code and what. */
  refusals: string[];
}

export const createLedger = (): Ledger => ({
  sends: [],
  alterations: [],
  views: [],
  asks: [],
  refusals: [],
});

/** The token of a message, out of any body it ever had but that of a tombstone. */
export const tokenOf = (body: string): string => body.split(' ', 1)[0]!;
